-- The active sessions of an account, for the list of them. Without the time: a heartbeat must not move the entry.
CREATE INDEX "presence_Session_accountId_active_idx" ON "Session"("accountId") WHERE "active" = 1;

-- The newest reports, of an account and of a session.
CREATE INDEX "presence_UsageReport_accountId_createdAt_idx" ON "UsageReport"("accountId", "createdAt");
CREATE INDEX "presence_UsageReport_sessionId_createdAt_idx" ON "UsageReport"("sessionId", "createdAt");
