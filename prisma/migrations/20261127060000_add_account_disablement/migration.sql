-- CreateTable
CREATE TABLE "PresenceAccountDisablement" (
    "accountId" TEXT NOT NULL PRIMARY KEY,
    "disabledAt" DATETIME NOT NULL,
    CONSTRAINT "PresenceAccountDisablement_accountId_fkey" FOREIGN KEY ("accountId") REFERENCES "Account" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
