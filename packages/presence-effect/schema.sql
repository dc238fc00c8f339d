-- The table of one kind, as presence-effect expects it: here the kind `device` with rows that belong to an account.
-- `PresenceTables.ddl(kinds)` makes this text for kinds with other names. Add columns of your own.
CREATE TABLE IF NOT EXISTS "Device" (
  "id" TEXT NOT NULL PRIMARY KEY,
  "accountId" TEXT NOT NULL,
  "active" INTEGER NOT NULL DEFAULT 0,
  "lastActiveAt" INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS "Device_active_lastActiveAt" ON "Device" ("active", "lastActiveAt");
