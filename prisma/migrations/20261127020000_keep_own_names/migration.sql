-- Other happier light servers share these tables and go on changing them. What only this server needs has names of its
-- own, so that their later migrations can be applied to a file that this server has served.

-- CreateTable
CREATE TABLE "PresenceMachineRevocation" (
    "machineId" TEXT NOT NULL PRIMARY KEY,
    "revokedAt" DATETIME NOT NULL,
    CONSTRAINT "PresenceMachineRevocation_machineId_fkey" FOREIGN KEY ("machineId") REFERENCES "Machine" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);

INSERT INTO "PresenceMachineRevocation" ("machineId", "revokedAt")
  SELECT "id", "revokedAt" FROM "Machine" WHERE "revokedAt" IS NOT NULL;

ALTER TABLE "Machine" DROP COLUMN "revokedAt";

-- Redefine the indexes
DROP INDEX "Session_active_lastActiveAt_idx";
CREATE INDEX "presence_Session_active_lastActiveAt_idx" ON "Session"("active", "lastActiveAt");

DROP INDEX "Machine_active_lastActiveAt_idx";
CREATE INDEX "presence_Machine_active_lastActiveAt_idx" ON "Machine"("active", "lastActiveAt");

DROP INDEX "Session_accountId_id_idx";
CREATE INDEX "presence_Session_accountId_id_idx" ON "Session"("accountId", "id");

DROP INDEX "AccountChange_sessionId_idx";
CREATE INDEX "presence_AccountChange_sessionId_idx" ON "AccountChange"("sessionId");

DROP INDEX "AccountChange_machineId_idx";
CREATE INDEX "presence_AccountChange_machineId_idx" ON "AccountChange"("machineId");

DROP INDEX "UsageReport_accountId_key_no_session_key";
CREATE UNIQUE INDEX "presence_UsageReport_accountId_key_no_session_key" ON "UsageReport"("accountId", "key") WHERE "sessionId" IS NULL;

DROP INDEX "TerminalAuthRequest_updatedAt_idx";
CREATE INDEX "presence_TerminalAuthRequest_updatedAt_idx" ON "TerminalAuthRequest"("updatedAt");

DROP INDEX "AccountAuthRequest_updatedAt_idx";
CREATE INDEX "presence_AccountAuthRequest_updatedAt_idx" ON "AccountAuthRequest"("updatedAt");
