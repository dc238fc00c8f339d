-- CreateTable
CREATE TABLE "PresenceTokenRevocation" (
    "digest" TEXT NOT NULL PRIMARY KEY,
    "accountId" TEXT NOT NULL,
    "revokedAt" DATETIME NOT NULL,
    CONSTRAINT "PresenceTokenRevocation_accountId_fkey" FOREIGN KEY ("accountId") REFERENCES "Account" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);

-- CreateIndex
CREATE INDEX "PresenceTokenRevocation_accountId_idx" ON "PresenceTokenRevocation"("accountId");
