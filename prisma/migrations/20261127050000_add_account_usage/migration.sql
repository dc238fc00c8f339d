-- CreateTable
CREATE TABLE "PresenceAccountUsage" (
    "accountId" TEXT NOT NULL PRIMARY KEY,
    "byteCount" BIGINT NOT NULL,
    "rowCount" BIGINT NOT NULL,
    "isCounted" BOOLEAN NOT NULL,
    "recountCount" INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT "PresenceAccountUsage_accountId_fkey" FOREIGN KEY ("accountId") REFERENCES "Account" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
