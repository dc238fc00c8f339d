-- Other happier light servers keep the time in a column Session.archivedAt. The name of this table is our own, so that
-- their later migrations can add that column to a file that this server has served.

-- CreateTable
CREATE TABLE "PresenceSessionArchive" (
    "sessionId" TEXT NOT NULL PRIMARY KEY,
    "archivedAt" DATETIME NOT NULL,
    CONSTRAINT "PresenceSessionArchive_sessionId_fkey" FOREIGN KEY ("sessionId") REFERENCES "Session" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
