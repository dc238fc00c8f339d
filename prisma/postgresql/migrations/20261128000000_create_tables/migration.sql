-- CreateTable
CREATE TABLE "Account" (
    "id" TEXT COLLATE "C" NOT NULL,
    "publicKey" TEXT COLLATE "C" NOT NULL,
    "contentPublicKey" BYTEA,
    "contentPublicKeySig" BYTEA,
    "seq" BIGINT NOT NULL DEFAULT 0,
    "changesFloor" BIGINT NOT NULL DEFAULT 0,
    "feedSeq" BIGINT NOT NULL DEFAULT 0,
    "createdAt" BIGINT NOT NULL,
    "updatedAt" BIGINT NOT NULL,
    "settings" TEXT,
    "settingsVersion" BIGINT NOT NULL DEFAULT 0,
    "githubUserId" TEXT COLLATE "C",
    "firstName" TEXT COLLATE "C",
    "lastName" TEXT COLLATE "C",
    "username" TEXT COLLATE "C",
    "avatar" TEXT,

    CONSTRAINT "Account_pkey" PRIMARY KEY ("id")
) WITH (fillfactor = 90);

-- CreateTable
CREATE TABLE "Session" (
    "id" TEXT COLLATE "C" NOT NULL,
    "tag" TEXT COLLATE "C" NOT NULL,
    "accountId" TEXT COLLATE "C" NOT NULL,
    "metadata" TEXT NOT NULL,
    "metadataVersion" BIGINT NOT NULL DEFAULT 0,
    "agentState" TEXT,
    "agentStateVersion" BIGINT NOT NULL DEFAULT 0,
    "dataEncryptionKey" BYTEA,
    "seq" BIGINT NOT NULL DEFAULT 0,
    "active" BOOLEAN NOT NULL DEFAULT true,
    "lastActiveAt" BIGINT NOT NULL,
    "createdAt" BIGINT NOT NULL,
    "updatedAt" BIGINT NOT NULL,
    "servedBy" TEXT COLLATE "C",

    CONSTRAINT "Session_pkey" PRIMARY KEY ("id")
) WITH (fillfactor = 70);

-- CreateTable
CREATE TABLE "Machine" (
    "id" TEXT COLLATE "C" NOT NULL,
    "accountId" TEXT COLLATE "C" NOT NULL,
    "metadata" TEXT NOT NULL,
    "metadataVersion" BIGINT NOT NULL DEFAULT 0,
    "daemonState" TEXT,
    "daemonStateVersion" BIGINT NOT NULL DEFAULT 0,
    "dataEncryptionKey" BYTEA,
    "seq" BIGINT NOT NULL DEFAULT 0,
    "active" BOOLEAN NOT NULL DEFAULT true,
    "lastActiveAt" BIGINT NOT NULL,
    "createdAt" BIGINT NOT NULL,
    "updatedAt" BIGINT NOT NULL,
    "servedBy" TEXT COLLATE "C",

    CONSTRAINT "Machine_pkey" PRIMARY KEY ("id")
) WITH (fillfactor = 70);

-- CreateTable: the leases of the servers, by the clock of the database
CREATE TABLE "Replica" (
    "epoch" TEXT COLLATE "C" NOT NULL,
    "startedAt" BIGINT NOT NULL,
    "beatAt" BIGINT NOT NULL,

    CONSTRAINT "Replica_pkey" PRIMARY KEY ("epoch")
) WITH (fillfactor = 50);

-- CreateTable
CREATE TABLE "UsageReport" (
    "id" TEXT COLLATE "C" NOT NULL,
    "key" TEXT COLLATE "C" NOT NULL,
    "accountId" TEXT COLLATE "C" NOT NULL,
    "sessionId" TEXT COLLATE "C",
    "data" TEXT NOT NULL,
    "createdAt" BIGINT NOT NULL,
    "updatedAt" BIGINT NOT NULL,

    CONSTRAINT "UsageReport_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "SessionMessage" (
    "id" TEXT COLLATE "C" NOT NULL,
    "sessionId" TEXT COLLATE "C" NOT NULL,
    "localId" TEXT COLLATE "C",
    "seq" BIGINT NOT NULL,
    "content" TEXT NOT NULL,
    "createdAt" BIGINT NOT NULL,
    "updatedAt" BIGINT NOT NULL,

    CONSTRAINT "SessionMessage_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "AccountChange" (
    "accountId" TEXT COLLATE "C" NOT NULL,
    "kind" TEXT COLLATE "C" NOT NULL,
    "entityId" TEXT COLLATE "C" NOT NULL,
    "cursor" BIGINT NOT NULL,
    "changedAt" BIGINT NOT NULL,
    "hint" TEXT,
    "sessionId" TEXT COLLATE "C",
    "machineId" TEXT COLLATE "C",

    CONSTRAINT "AccountChange_pkey" PRIMARY KEY ("accountId", "kind", "entityId")
) WITH (fillfactor = 90);

-- CreateTable
CREATE TABLE "TerminalAuthRequest" (
    "id" TEXT COLLATE "C" NOT NULL,
    "publicKey" TEXT COLLATE "C" NOT NULL,
    "supportsV2" BOOLEAN NOT NULL DEFAULT false,
    "response" TEXT,
    "responseAccountId" TEXT COLLATE "C",
    "createdAt" BIGINT NOT NULL,
    "updatedAt" BIGINT NOT NULL,

    CONSTRAINT "TerminalAuthRequest_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "AccountAuthRequest" (
    "id" TEXT COLLATE "C" NOT NULL,
    "publicKey" TEXT COLLATE "C" NOT NULL,
    "response" TEXT,
    "responseAccountId" TEXT COLLATE "C",
    "createdAt" BIGINT NOT NULL,
    "updatedAt" BIGINT NOT NULL,

    CONSTRAINT "AccountAuthRequest_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "TokenRevocation" (
    "accountId" TEXT COLLATE "C" NOT NULL,
    "epoch" BIGINT NOT NULL,
    "revokedAt" BIGINT NOT NULL,

    CONSTRAINT "TokenRevocation_pkey" PRIMARY KEY ("accountId")
);

-- CreateTable
CREATE TABLE "ServerHeartbeat" (
    "id" BIGINT NOT NULL,
    "beatAt" BIGINT NOT NULL,

    CONSTRAINT "ServerHeartbeat_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "AccountPushToken" (
    "id" TEXT COLLATE "C" NOT NULL,
    "accountId" TEXT COLLATE "C" NOT NULL,
    "token" TEXT COLLATE "C" NOT NULL,
    "createdAt" BIGINT NOT NULL,
    "updatedAt" BIGINT NOT NULL,

    CONSTRAINT "AccountPushToken_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "ServiceAccountToken" (
    "id" TEXT COLLATE "C" NOT NULL,
    "accountId" TEXT COLLATE "C" NOT NULL,
    "vendor" TEXT COLLATE "C" NOT NULL,
    "token" BYTEA NOT NULL,
    "metadata" TEXT,
    "createdAt" BIGINT NOT NULL,
    "updatedAt" BIGINT NOT NULL,
    "lastUsedAt" BIGINT,

    CONSTRAINT "ServiceAccountToken_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Artifact" (
    "id" TEXT COLLATE "C" NOT NULL,
    "accountId" TEXT COLLATE "C" NOT NULL,
    "header" BYTEA NOT NULL,
    "headerVersion" BIGINT NOT NULL DEFAULT 0,
    "body" BYTEA NOT NULL,
    "bodyVersion" BIGINT NOT NULL DEFAULT 0,
    "dataEncryptionKey" BYTEA NOT NULL,
    "seq" BIGINT NOT NULL DEFAULT 0,
    "createdAt" BIGINT NOT NULL,
    "updatedAt" BIGINT NOT NULL,

    CONSTRAINT "Artifact_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "UserKVStore" (
    "id" TEXT COLLATE "C" NOT NULL,
    "accountId" TEXT COLLATE "C" NOT NULL,
    "key" TEXT COLLATE "C" NOT NULL,
    "value" BYTEA,
    "version" BIGINT NOT NULL DEFAULT 0,
    "createdAt" BIGINT NOT NULL,
    "updatedAt" BIGINT NOT NULL,

    CONSTRAINT "UserKVStore_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "AccessKey" (
    "id" TEXT COLLATE "C" NOT NULL,
    "accountId" TEXT COLLATE "C" NOT NULL,
    "machineId" TEXT COLLATE "C" NOT NULL,
    "sessionId" TEXT COLLATE "C" NOT NULL,
    "data" TEXT NOT NULL,
    "dataVersion" BIGINT NOT NULL DEFAULT 0,
    "createdAt" BIGINT NOT NULL,
    "updatedAt" BIGINT NOT NULL,

    CONSTRAINT "AccessKey_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "PresenceMachineRevocation" (
    "machineId" TEXT COLLATE "C" NOT NULL,
    "revokedAt" BIGINT NOT NULL,

    CONSTRAINT "PresenceMachineRevocation_pkey" PRIMARY KEY ("machineId")
);

-- CreateTable
CREATE TABLE "PresenceTokenRevocation" (
    "digest" TEXT COLLATE "C" NOT NULL,
    "accountId" TEXT COLLATE "C" NOT NULL,
    "revokedAt" BIGINT NOT NULL,

    CONSTRAINT "PresenceTokenRevocation_pkey" PRIMARY KEY ("digest")
);

-- CreateTable
CREATE TABLE "PresenceSessionArchive" (
    "sessionId" TEXT COLLATE "C" NOT NULL,
    "archivedAt" BIGINT NOT NULL,

    CONSTRAINT "PresenceSessionArchive_pkey" PRIMARY KEY ("sessionId")
);

-- CreateTable
CREATE TABLE "PresenceAccountDisablement" (
    "accountId" TEXT COLLATE "C" NOT NULL,
    "disabledAt" BIGINT NOT NULL,

    CONSTRAINT "PresenceAccountDisablement_pkey" PRIMARY KEY ("accountId")
);

-- CreateTable
CREATE TABLE "PresenceAccountUsage" (
    "accountId" TEXT COLLATE "C" NOT NULL,
    "byteCount" BIGINT NOT NULL,
    "rowCount" BIGINT NOT NULL,
    "isCounted" BOOLEAN NOT NULL,
    "recountCount" BIGINT NOT NULL DEFAULT 0,

    CONSTRAINT "PresenceAccountUsage_pkey" PRIMARY KEY ("accountId")
);

-- CreateIndex
CREATE UNIQUE INDEX "Account_publicKey_key" ON "Account"("publicKey");
CREATE UNIQUE INDEX "Account_githubUserId_key" ON "Account"("githubUserId");
CREATE UNIQUE INDEX "Account_username_key" ON "Account"("username");
CREATE UNIQUE INDEX "Session_accountId_tag_key" ON "Session"("accountId", "tag");
CREATE INDEX "Session_accountId_updatedAt_idx" ON "Session"("accountId", "updatedAt");
CREATE INDEX "Session_accountId_id_idx" ON "Session"("accountId", "id");
CREATE UNIQUE INDEX "Machine_accountId_id_key" ON "Machine"("accountId", "id");
CREATE INDEX "Machine_accountId_idx" ON "Machine"("accountId");
CREATE UNIQUE INDEX "UsageReport_accountId_sessionId_key_key" ON "UsageReport"("accountId", "sessionId", "key");
CREATE INDEX "UsageReport_accountId_idx" ON "UsageReport"("accountId");
CREATE INDEX "UsageReport_sessionId_idx" ON "UsageReport"("sessionId");
CREATE INDEX "presence_UsageReport_accountId_createdAt_idx" ON "UsageReport"("accountId", "createdAt");
CREATE INDEX "presence_UsageReport_sessionId_createdAt_idx" ON "UsageReport"("sessionId", "createdAt");
CREATE UNIQUE INDEX "SessionMessage_sessionId_localId_key" ON "SessionMessage"("sessionId", "localId");
CREATE INDEX "SessionMessage_sessionId_seq_idx" ON "SessionMessage"("sessionId", "seq");
CREATE INDEX "AccountChange_accountId_cursor_idx" ON "AccountChange"("accountId", "cursor");
CREATE INDEX "presence_AccountChange_sessionId_idx" ON "AccountChange"("sessionId");
CREATE INDEX "presence_AccountChange_machineId_idx" ON "AccountChange"("machineId");
CREATE UNIQUE INDEX "TerminalAuthRequest_publicKey_key" ON "TerminalAuthRequest"("publicKey");
CREATE INDEX "presence_TerminalAuthRequest_updatedAt_idx" ON "TerminalAuthRequest"("updatedAt");
CREATE UNIQUE INDEX "AccountAuthRequest_publicKey_key" ON "AccountAuthRequest"("publicKey");
CREATE INDEX "presence_AccountAuthRequest_updatedAt_idx" ON "AccountAuthRequest"("updatedAt");
CREATE UNIQUE INDEX "AccountPushToken_accountId_token_key" ON "AccountPushToken"("accountId", "token");
CREATE UNIQUE INDEX "ServiceAccountToken_accountId_vendor_key" ON "ServiceAccountToken"("accountId", "vendor");
CREATE INDEX "ServiceAccountToken_accountId_idx" ON "ServiceAccountToken"("accountId");
CREATE INDEX "Artifact_accountId_idx" ON "Artifact"("accountId");
CREATE INDEX "Artifact_accountId_updatedAt_idx" ON "Artifact"("accountId", "updatedAt");
CREATE UNIQUE INDEX "UserKVStore_accountId_key_key" ON "UserKVStore"("accountId", "key");
CREATE INDEX "UserKVStore_accountId_idx" ON "UserKVStore"("accountId");
CREATE UNIQUE INDEX "AccessKey_accountId_machineId_sessionId_key" ON "AccessKey"("accountId", "machineId", "sessionId");
CREATE INDEX "AccessKey_accountId_idx" ON "AccessKey"("accountId");
CREATE INDEX "AccessKey_sessionId_idx" ON "AccessKey"("sessionId");
CREATE INDEX "AccessKey_machineId_idx" ON "AccessKey"("machineId");
CREATE INDEX "PresenceTokenRevocation_accountId_idx" ON "PresenceTokenRevocation"("accountId");

-- CreateIndex: one report per account and key without a session; NULLs are distinct to the index above
CREATE UNIQUE INDEX "presence_UsageReport_accountId_key_no_session_key" ON "UsageReport"("accountId", "key") WHERE "sessionId" IS NULL;

-- CreateIndex: the active sessions of an account, and the offline sweep. Without the time: a heartbeat moves no entry.
CREATE INDEX "presence_Session_accountId_active_idx" ON "Session"("accountId") WHERE "active";
CREATE INDEX "presence_Session_active_idx" ON "Session"("id") WHERE "active";
CREATE INDEX "presence_Machine_active_idx" ON "Machine"("id") WHERE "active";

-- CreateIndex: the rows of a server that is gone. A heartbeat writes the mark that is there already.
CREATE INDEX "presence_Session_servedBy_idx" ON "Session"("servedBy") WHERE "active";
CREATE INDEX "presence_Machine_servedBy_idx" ON "Machine"("servedBy") WHERE "active";

-- AddForeignKey
ALTER TABLE "Session" ADD CONSTRAINT "Session_accountId_fkey" FOREIGN KEY ("accountId") REFERENCES "Account"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "Machine" ADD CONSTRAINT "Machine_accountId_fkey" FOREIGN KEY ("accountId") REFERENCES "Account"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "UsageReport" ADD CONSTRAINT "UsageReport_accountId_fkey" FOREIGN KEY ("accountId") REFERENCES "Account"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "UsageReport" ADD CONSTRAINT "UsageReport_sessionId_fkey" FOREIGN KEY ("sessionId") REFERENCES "Session"("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "SessionMessage" ADD CONSTRAINT "SessionMessage_sessionId_fkey" FOREIGN KEY ("sessionId") REFERENCES "Session"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "AccountChange" ADD CONSTRAINT "AccountChange_accountId_fkey" FOREIGN KEY ("accountId") REFERENCES "Account"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "AccountChange" ADD CONSTRAINT "AccountChange_sessionId_fkey" FOREIGN KEY ("sessionId") REFERENCES "Session"("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "AccountChange" ADD CONSTRAINT "AccountChange_machineId_fkey" FOREIGN KEY ("machineId") REFERENCES "Machine"("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "TerminalAuthRequest" ADD CONSTRAINT "TerminalAuthRequest_responseAccountId_fkey" FOREIGN KEY ("responseAccountId") REFERENCES "Account"("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "AccountAuthRequest" ADD CONSTRAINT "AccountAuthRequest_responseAccountId_fkey" FOREIGN KEY ("responseAccountId") REFERENCES "Account"("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "TokenRevocation" ADD CONSTRAINT "TokenRevocation_accountId_fkey" FOREIGN KEY ("accountId") REFERENCES "Account"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "AccountPushToken" ADD CONSTRAINT "AccountPushToken_accountId_fkey" FOREIGN KEY ("accountId") REFERENCES "Account"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "ServiceAccountToken" ADD CONSTRAINT "ServiceAccountToken_accountId_fkey" FOREIGN KEY ("accountId") REFERENCES "Account"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "Artifact" ADD CONSTRAINT "Artifact_accountId_fkey" FOREIGN KEY ("accountId") REFERENCES "Account"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "UserKVStore" ADD CONSTRAINT "UserKVStore_accountId_fkey" FOREIGN KEY ("accountId") REFERENCES "Account"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "AccessKey" ADD CONSTRAINT "AccessKey_accountId_fkey" FOREIGN KEY ("accountId") REFERENCES "Account"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "AccessKey" ADD CONSTRAINT "AccessKey_accountId_machineId_fkey" FOREIGN KEY ("accountId", "machineId") REFERENCES "Machine"("accountId", "id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "AccessKey" ADD CONSTRAINT "AccessKey_sessionId_fkey" FOREIGN KEY ("sessionId") REFERENCES "Session"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "PresenceMachineRevocation" ADD CONSTRAINT "PresenceMachineRevocation_machineId_fkey" FOREIGN KEY ("machineId") REFERENCES "Machine"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "PresenceTokenRevocation" ADD CONSTRAINT "PresenceTokenRevocation_accountId_fkey" FOREIGN KEY ("accountId") REFERENCES "Account"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "PresenceSessionArchive" ADD CONSTRAINT "PresenceSessionArchive_sessionId_fkey" FOREIGN KEY ("sessionId") REFERENCES "Session"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "PresenceAccountDisablement" ADD CONSTRAINT "PresenceAccountDisablement_accountId_fkey" FOREIGN KEY ("accountId") REFERENCES "Account"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "PresenceAccountUsage" ADD CONSTRAINT "PresenceAccountUsage_accountId_fkey" FOREIGN KEY ("accountId") REFERENCES "Account"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- CreateFunction: the value of a JSON text. NULL for a text that is not JSON, or that holds a character no text can.
CREATE FUNCTION presence_json(json_text TEXT) RETURNS JSONB LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  RETURN json_text::jsonb;
EXCEPTION WHEN data_exception THEN
  RETURN NULL;
END
$$;
