-- What accounts store, for their storage quota. Settings of a session decide what its writes cost and may add:
--   presence_quota.counts        'off': nothing is counted. Otherwise totals are kept, whatever writes.
--   presence_quota.bytes, .rows  what an account may store, for new rows. Without them nothing is refused.
--   presence_quota.growth_bytes  the same, for rows that exist

-- The totals change with each write of an account: a new version of the row has room in its page.
ALTER TABLE "PresenceAccountUsage" SET (fillfactor = 50);

-- Nothing has kept these until now. Accounts without totals are counted.
DELETE FROM "PresenceAccountUsage";

-- CreateFunction: adds to the totals of an account, and refuses what goes beyond a limit. The row of the totals is
-- locked from here on, so of two transactions the second one sees what the first has added.
CREATE FUNCTION presence_quota_add(account_id TEXT, added_bytes BIGINT, added_rows BIGINT, checked TEXT) RETURNS VOID
LANGUAGE plpgsql AS $$
DECLARE
  byte_total BIGINT;
  row_total BIGINT;
BEGIN
  FOR attempt IN 1..2 LOOP
    UPDATE "PresenceAccountUsage" SET "byteCount" = "byteCount" + added_bytes, "rowCount" = "rowCount" + added_rows
      WHERE "accountId" = account_id RETURNING "byteCount", "rowCount" INTO byte_total, row_total;
    EXIT WHEN FOUND OR attempt = 2;
    -- No totals yet. A count locks the account before it begins some, so either it waits for this transaction and
    -- then finds its rows, or this waits for it and then finds the totals.
    PERFORM 1 FROM "Account" WHERE "id" = account_id FOR KEY SHARE;
  END LOOP;
  IF checked = 'new' THEN
    IF byte_total > nullif(current_setting('presence_quota.bytes', true), '')::bigint THEN
      RAISE EXCEPTION 'account quota: bytes' USING ERRCODE = 'QT001';
    END IF;
    IF row_total > nullif(current_setting('presence_quota.rows', true), '')::bigint THEN
      RAISE EXCEPTION 'account quota: rows' USING ERRCODE = 'QT001';
    END IF;
  ELSIF checked = 'grown' AND added_bytes > 0
    AND byte_total > nullif(current_setting('presence_quota.growth_bytes', true), '')::bigint THEN
    RAISE EXCEPTION 'account quota: bytes' USING ERRCODE = 'QT001';
  END IF;
END
$$;

-- CreateTrigger: an account that is opened stores nothing, so it needs no count. Rows without a key belong to the server.
CREATE FUNCTION "presence_quota_Account_opened"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  INSERT INTO "PresenceAccountUsage" ("accountId", "byteCount", "rowCount", "isCounted", "recountCount")
    VALUES (NEW."id", coalesce(octet_length(NEW."settings"), 0), 0, TRUE, 0) ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$$;

CREATE TRIGGER "presence_quota_insert" AFTER INSERT ON "Account"
  FOR EACH ROW WHEN (length(NEW."publicKey") = 64 AND current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off')
  EXECUTE FUNCTION "presence_quota_Account_opened"();

-- CreateTrigger: the tables that count. The length of a text or blob stands in the row: its pages are not read.
CREATE FUNCTION "presence_quota_Session"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  before BIGINT;
  after BIGINT := 256
    + coalesce(octet_length(NEW."tag"), 0)
    + coalesce(octet_length(NEW."metadata"), 0)
    + coalesce(octet_length(NEW."agentState"), 0)
    + coalesce(octet_length(NEW."dataEncryptionKey"), 0);
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM presence_quota_add(NEW."accountId", after, 1, 'new');
    RETURN NULL;
  END IF;
  before := 256
    + coalesce(octet_length(OLD."tag"), 0)
    + coalesce(octet_length(OLD."metadata"), 0)
    + coalesce(octet_length(OLD."agentState"), 0)
    + coalesce(octet_length(OLD."dataEncryptionKey"), 0);
  IF OLD."accountId" <> NEW."accountId" THEN
    PERFORM presence_quota_add(OLD."accountId", -before, -1, 'none');
    PERFORM presence_quota_add(NEW."accountId", after, 1, 'none');
    RETURN NULL;
  END IF;
  IF before <> after THEN
    PERFORM presence_quota_add(NEW."accountId", after - before, 0, 'grown');
  END IF;
  RETURN NULL;
END
$$;

CREATE FUNCTION "presence_quota_Session_gone"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  part RECORD;
BEGIN
  FOR part IN
    SELECT sums."accountId" AS "owner", sum("bytes")::bigint AS "bytes", sum("rows")::bigint AS "rows"
    FROM (
      SELECT item."accountId", count(*) AS "rows", sum(256
        + coalesce(octet_length(item."tag"), 0)
        + coalesce(octet_length(item."metadata"), 0)
        + coalesce(octet_length(item."agentState"), 0)
        + coalesce(octet_length(item."dataEncryptionKey"), 0)) AS "bytes"
      FROM gone AS item GROUP BY item."accountId"
    ) AS sums GROUP BY 1 ORDER BY 1
  LOOP
    PERFORM presence_quota_add(part."owner", -part."bytes", -part."rows", 'none');
  END LOOP;
  RETURN NULL;
END
$$;

CREATE TRIGGER "presence_quota_insert" AFTER INSERT ON "Session"
  FOR EACH ROW WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_Session"();

CREATE TRIGGER "presence_quota_update" AFTER UPDATE OF "tag", "metadata", "agentState", "dataEncryptionKey", "accountId" ON "Session"
  FOR EACH ROW WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_Session"();

CREATE TRIGGER "presence_quota_delete" AFTER DELETE ON "Session" REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_Session_gone"();

CREATE FUNCTION "presence_quota_SessionMessage"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  before BIGINT;
  after BIGINT := 256
    + coalesce(octet_length(NEW."localId"), 0)
    + coalesce(octet_length(NEW."content"), 0);
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM presence_quota_add((SELECT "accountId" FROM "Session" WHERE "id" = NEW."sessionId"), after, 1, 'new');
    RETURN NULL;
  END IF;
  before := 256
    + coalesce(octet_length(OLD."localId"), 0)
    + coalesce(octet_length(OLD."content"), 0);
  IF OLD."sessionId" <> NEW."sessionId" THEN
    PERFORM presence_quota_add((SELECT "accountId" FROM "Session" WHERE "id" = OLD."sessionId"), -before, -1, 'none');
    PERFORM presence_quota_add((SELECT "accountId" FROM "Session" WHERE "id" = NEW."sessionId"), after, 1, 'none');
    RETURN NULL;
  END IF;
  IF before <> after THEN
    PERFORM presence_quota_add((SELECT "accountId" FROM "Session" WHERE "id" = NEW."sessionId"), after - before, 0, 'grown');
  END IF;
  RETURN NULL;
END
$$;

CREATE FUNCTION "presence_quota_SessionMessage_gone"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  part RECORD;
BEGIN
  FOR part IN
    SELECT (SELECT "accountId" FROM "Session" WHERE "id" = sums."sessionId") AS "owner", sum("bytes")::bigint AS "bytes", sum("rows")::bigint AS "rows"
    FROM (
      SELECT item."sessionId", count(*) AS "rows", sum(256
        + coalesce(octet_length(item."localId"), 0)
        + coalesce(octet_length(item."content"), 0)) AS "bytes"
      FROM gone AS item GROUP BY item."sessionId"
    ) AS sums GROUP BY 1 ORDER BY 1
  LOOP
    PERFORM presence_quota_add(part."owner", -part."bytes", -part."rows", 'none');
  END LOOP;
  RETURN NULL;
END
$$;

CREATE TRIGGER "presence_quota_insert" AFTER INSERT ON "SessionMessage"
  FOR EACH ROW WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_SessionMessage"();

CREATE TRIGGER "presence_quota_update" AFTER UPDATE OF "localId", "content", "sessionId" ON "SessionMessage"
  FOR EACH ROW WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_SessionMessage"();

CREATE TRIGGER "presence_quota_delete" AFTER DELETE ON "SessionMessage" REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_SessionMessage_gone"();

CREATE FUNCTION "presence_quota_Machine"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  before BIGINT;
  after BIGINT := 256
    + coalesce(octet_length(NEW."metadata"), 0)
    + coalesce(octet_length(NEW."daemonState"), 0)
    + coalesce(octet_length(NEW."dataEncryptionKey"), 0);
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM presence_quota_add(NEW."accountId", after, 1, 'new');
    RETURN NULL;
  END IF;
  before := 256
    + coalesce(octet_length(OLD."metadata"), 0)
    + coalesce(octet_length(OLD."daemonState"), 0)
    + coalesce(octet_length(OLD."dataEncryptionKey"), 0);
  IF OLD."accountId" <> NEW."accountId" THEN
    PERFORM presence_quota_add(OLD."accountId", -before, -1, 'none');
    PERFORM presence_quota_add(NEW."accountId", after, 1, 'none');
    RETURN NULL;
  END IF;
  IF before <> after THEN
    PERFORM presence_quota_add(NEW."accountId", after - before, 0, 'grown');
  END IF;
  RETURN NULL;
END
$$;

CREATE FUNCTION "presence_quota_Machine_gone"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  part RECORD;
BEGIN
  FOR part IN
    SELECT sums."accountId" AS "owner", sum("bytes")::bigint AS "bytes", sum("rows")::bigint AS "rows"
    FROM (
      SELECT item."accountId", count(*) AS "rows", sum(256
        + coalesce(octet_length(item."metadata"), 0)
        + coalesce(octet_length(item."daemonState"), 0)
        + coalesce(octet_length(item."dataEncryptionKey"), 0)) AS "bytes"
      FROM gone AS item GROUP BY item."accountId"
    ) AS sums GROUP BY 1 ORDER BY 1
  LOOP
    PERFORM presence_quota_add(part."owner", -part."bytes", -part."rows", 'none');
  END LOOP;
  RETURN NULL;
END
$$;

CREATE TRIGGER "presence_quota_insert" AFTER INSERT ON "Machine"
  FOR EACH ROW WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_Machine"();

CREATE TRIGGER "presence_quota_update" AFTER UPDATE OF "metadata", "daemonState", "dataEncryptionKey", "accountId" ON "Machine"
  FOR EACH ROW WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_Machine"();

CREATE TRIGGER "presence_quota_delete" AFTER DELETE ON "Machine" REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_Machine_gone"();

CREATE FUNCTION "presence_quota_UsageReport"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  before BIGINT;
  after BIGINT := 256
    + coalesce(octet_length(NEW."key"), 0)
    + coalesce(octet_length(NEW."data"), 0);
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM presence_quota_add(NEW."accountId", after, 1, 'new');
    RETURN NULL;
  END IF;
  before := 256
    + coalesce(octet_length(OLD."key"), 0)
    + coalesce(octet_length(OLD."data"), 0);
  IF OLD."accountId" <> NEW."accountId" THEN
    PERFORM presence_quota_add(OLD."accountId", -before, -1, 'none');
    PERFORM presence_quota_add(NEW."accountId", after, 1, 'none');
    RETURN NULL;
  END IF;
  IF before <> after THEN
    PERFORM presence_quota_add(NEW."accountId", after - before, 0, 'grown');
  END IF;
  RETURN NULL;
END
$$;

CREATE FUNCTION "presence_quota_UsageReport_gone"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  part RECORD;
BEGIN
  FOR part IN
    SELECT sums."accountId" AS "owner", sum("bytes")::bigint AS "bytes", sum("rows")::bigint AS "rows"
    FROM (
      SELECT item."accountId", count(*) AS "rows", sum(256
        + coalesce(octet_length(item."key"), 0)
        + coalesce(octet_length(item."data"), 0)) AS "bytes"
      FROM gone AS item GROUP BY item."accountId"
    ) AS sums GROUP BY 1 ORDER BY 1
  LOOP
    PERFORM presence_quota_add(part."owner", -part."bytes", -part."rows", 'none');
  END LOOP;
  RETURN NULL;
END
$$;

CREATE TRIGGER "presence_quota_insert" AFTER INSERT ON "UsageReport"
  FOR EACH ROW WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_UsageReport"();

CREATE TRIGGER "presence_quota_update" AFTER UPDATE OF "key", "data", "accountId" ON "UsageReport"
  FOR EACH ROW WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_UsageReport"();

CREATE TRIGGER "presence_quota_delete" AFTER DELETE ON "UsageReport" REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_UsageReport_gone"();

CREATE FUNCTION "presence_quota_Artifact"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  before BIGINT;
  after BIGINT := 256
    + coalesce(octet_length(NEW."header"), 0)
    + coalesce(octet_length(NEW."body"), 0)
    + coalesce(octet_length(NEW."dataEncryptionKey"), 0);
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM presence_quota_add(NEW."accountId", after, 1, 'new');
    RETURN NULL;
  END IF;
  before := 256
    + coalesce(octet_length(OLD."header"), 0)
    + coalesce(octet_length(OLD."body"), 0)
    + coalesce(octet_length(OLD."dataEncryptionKey"), 0);
  IF OLD."accountId" <> NEW."accountId" THEN
    PERFORM presence_quota_add(OLD."accountId", -before, -1, 'none');
    PERFORM presence_quota_add(NEW."accountId", after, 1, 'none');
    RETURN NULL;
  END IF;
  IF before <> after THEN
    PERFORM presence_quota_add(NEW."accountId", after - before, 0, 'grown');
  END IF;
  RETURN NULL;
END
$$;

CREATE FUNCTION "presence_quota_Artifact_gone"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  part RECORD;
BEGIN
  FOR part IN
    SELECT sums."accountId" AS "owner", sum("bytes")::bigint AS "bytes", sum("rows")::bigint AS "rows"
    FROM (
      SELECT item."accountId", count(*) AS "rows", sum(256
        + coalesce(octet_length(item."header"), 0)
        + coalesce(octet_length(item."body"), 0)
        + coalesce(octet_length(item."dataEncryptionKey"), 0)) AS "bytes"
      FROM gone AS item GROUP BY item."accountId"
    ) AS sums GROUP BY 1 ORDER BY 1
  LOOP
    PERFORM presence_quota_add(part."owner", -part."bytes", -part."rows", 'none');
  END LOOP;
  RETURN NULL;
END
$$;

CREATE TRIGGER "presence_quota_insert" AFTER INSERT ON "Artifact"
  FOR EACH ROW WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_Artifact"();

CREATE TRIGGER "presence_quota_update" AFTER UPDATE OF "header", "body", "dataEncryptionKey", "accountId" ON "Artifact"
  FOR EACH ROW WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_Artifact"();

CREATE TRIGGER "presence_quota_delete" AFTER DELETE ON "Artifact" REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_Artifact_gone"();

CREATE FUNCTION "presence_quota_UserKVStore"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  before BIGINT;
  after BIGINT := 256
    + coalesce(octet_length(NEW."key"), 0)
    + coalesce(octet_length(NEW."value"), 0);
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM presence_quota_add(NEW."accountId", after, 1, 'new');
    RETURN NULL;
  END IF;
  before := 256
    + coalesce(octet_length(OLD."key"), 0)
    + coalesce(octet_length(OLD."value"), 0);
  IF OLD."accountId" <> NEW."accountId" THEN
    PERFORM presence_quota_add(OLD."accountId", -before, -1, 'none');
    PERFORM presence_quota_add(NEW."accountId", after, 1, 'none');
    RETURN NULL;
  END IF;
  IF before <> after THEN
    PERFORM presence_quota_add(NEW."accountId", after - before, 0, 'grown');
  END IF;
  RETURN NULL;
END
$$;

CREATE FUNCTION "presence_quota_UserKVStore_gone"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  part RECORD;
BEGIN
  FOR part IN
    SELECT sums."accountId" AS "owner", sum("bytes")::bigint AS "bytes", sum("rows")::bigint AS "rows"
    FROM (
      SELECT item."accountId", count(*) AS "rows", sum(256
        + coalesce(octet_length(item."key"), 0)
        + coalesce(octet_length(item."value"), 0)) AS "bytes"
      FROM gone AS item GROUP BY item."accountId"
    ) AS sums GROUP BY 1 ORDER BY 1
  LOOP
    PERFORM presence_quota_add(part."owner", -part."bytes", -part."rows", 'none');
  END LOOP;
  RETURN NULL;
END
$$;

CREATE TRIGGER "presence_quota_insert" AFTER INSERT ON "UserKVStore"
  FOR EACH ROW WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_UserKVStore"();

CREATE TRIGGER "presence_quota_update" AFTER UPDATE OF "key", "value", "accountId" ON "UserKVStore"
  FOR EACH ROW WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_UserKVStore"();

CREATE TRIGGER "presence_quota_delete" AFTER DELETE ON "UserKVStore" REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_UserKVStore_gone"();

CREATE FUNCTION "presence_quota_AccessKey"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  before BIGINT;
  after BIGINT := 256
    + coalesce(octet_length(NEW."data"), 0);
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM presence_quota_add(NEW."accountId", after, 1, 'new');
    RETURN NULL;
  END IF;
  before := 256
    + coalesce(octet_length(OLD."data"), 0);
  IF OLD."accountId" <> NEW."accountId" THEN
    PERFORM presence_quota_add(OLD."accountId", -before, -1, 'none');
    PERFORM presence_quota_add(NEW."accountId", after, 1, 'none');
    RETURN NULL;
  END IF;
  IF before <> after THEN
    PERFORM presence_quota_add(NEW."accountId", after - before, 0, 'grown');
  END IF;
  RETURN NULL;
END
$$;

CREATE FUNCTION "presence_quota_AccessKey_gone"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  part RECORD;
BEGIN
  FOR part IN
    SELECT sums."accountId" AS "owner", sum("bytes")::bigint AS "bytes", sum("rows")::bigint AS "rows"
    FROM (
      SELECT item."accountId", count(*) AS "rows", sum(256
        + coalesce(octet_length(item."data"), 0)) AS "bytes"
      FROM gone AS item GROUP BY item."accountId"
    ) AS sums GROUP BY 1 ORDER BY 1
  LOOP
    PERFORM presence_quota_add(part."owner", -part."bytes", -part."rows", 'none');
  END LOOP;
  RETURN NULL;
END
$$;

CREATE TRIGGER "presence_quota_insert" AFTER INSERT ON "AccessKey"
  FOR EACH ROW WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_AccessKey"();

CREATE TRIGGER "presence_quota_update" AFTER UPDATE OF "data", "accountId" ON "AccessKey"
  FOR EACH ROW WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_AccessKey"();

CREATE TRIGGER "presence_quota_delete" AFTER DELETE ON "AccessKey" REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_AccessKey_gone"();

CREATE FUNCTION "presence_quota_AccountPushToken"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  before BIGINT;
  after BIGINT := 256
    + coalesce(octet_length(NEW."token"), 0);
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM presence_quota_add(NEW."accountId", after, 1, 'new');
    RETURN NULL;
  END IF;
  before := 256
    + coalesce(octet_length(OLD."token"), 0);
  IF OLD."accountId" <> NEW."accountId" THEN
    PERFORM presence_quota_add(OLD."accountId", -before, -1, 'none');
    PERFORM presence_quota_add(NEW."accountId", after, 1, 'none');
    RETURN NULL;
  END IF;
  IF before <> after THEN
    PERFORM presence_quota_add(NEW."accountId", after - before, 0, 'grown');
  END IF;
  RETURN NULL;
END
$$;

CREATE FUNCTION "presence_quota_AccountPushToken_gone"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  part RECORD;
BEGIN
  FOR part IN
    SELECT sums."accountId" AS "owner", sum("bytes")::bigint AS "bytes", sum("rows")::bigint AS "rows"
    FROM (
      SELECT item."accountId", count(*) AS "rows", sum(256
        + coalesce(octet_length(item."token"), 0)) AS "bytes"
      FROM gone AS item GROUP BY item."accountId"
    ) AS sums GROUP BY 1 ORDER BY 1
  LOOP
    PERFORM presence_quota_add(part."owner", -part."bytes", -part."rows", 'none');
  END LOOP;
  RETURN NULL;
END
$$;

CREATE TRIGGER "presence_quota_insert" AFTER INSERT ON "AccountPushToken"
  FOR EACH ROW WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_AccountPushToken"();

CREATE TRIGGER "presence_quota_update" AFTER UPDATE OF "token", "accountId" ON "AccountPushToken"
  FOR EACH ROW WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_AccountPushToken"();

CREATE TRIGGER "presence_quota_delete" AFTER DELETE ON "AccountPushToken" REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_AccountPushToken_gone"();

CREATE FUNCTION "presence_quota_ServiceAccountToken"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  before BIGINT;
  after BIGINT := 256
    + coalesce(octet_length(NEW."token"), 0)
    + coalesce(octet_length(NEW."metadata"), 0);
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM presence_quota_add(NEW."accountId", after, 1, 'new');
    RETURN NULL;
  END IF;
  before := 256
    + coalesce(octet_length(OLD."token"), 0)
    + coalesce(octet_length(OLD."metadata"), 0);
  IF OLD."accountId" <> NEW."accountId" THEN
    PERFORM presence_quota_add(OLD."accountId", -before, -1, 'none');
    PERFORM presence_quota_add(NEW."accountId", after, 1, 'none');
    RETURN NULL;
  END IF;
  IF before <> after THEN
    PERFORM presence_quota_add(NEW."accountId", after - before, 0, 'grown');
  END IF;
  RETURN NULL;
END
$$;

CREATE FUNCTION "presence_quota_ServiceAccountToken_gone"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  part RECORD;
BEGIN
  FOR part IN
    SELECT sums."accountId" AS "owner", sum("bytes")::bigint AS "bytes", sum("rows")::bigint AS "rows"
    FROM (
      SELECT item."accountId", count(*) AS "rows", sum(256
        + coalesce(octet_length(item."token"), 0)
        + coalesce(octet_length(item."metadata"), 0)) AS "bytes"
      FROM gone AS item GROUP BY item."accountId"
    ) AS sums GROUP BY 1 ORDER BY 1
  LOOP
    PERFORM presence_quota_add(part."owner", -part."bytes", -part."rows", 'none');
  END LOOP;
  RETURN NULL;
END
$$;

CREATE TRIGGER "presence_quota_insert" AFTER INSERT ON "ServiceAccountToken"
  FOR EACH ROW WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_ServiceAccountToken"();

CREATE TRIGGER "presence_quota_update" AFTER UPDATE OF "token", "metadata", "accountId" ON "ServiceAccountToken"
  FOR EACH ROW WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_ServiceAccountToken"();

CREATE TRIGGER "presence_quota_delete" AFTER DELETE ON "ServiceAccountToken" REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_ServiceAccountToken_gone"();

CREATE FUNCTION "presence_quota_PresenceTokenRevocation"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  before BIGINT;
  after BIGINT := 256;
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM presence_quota_add(NEW."accountId", after, 1, 'none');
    RETURN NULL;
  END IF;
  before := 256;
  IF OLD."accountId" <> NEW."accountId" THEN
    PERFORM presence_quota_add(OLD."accountId", -before, -1, 'none');
    PERFORM presence_quota_add(NEW."accountId", after, 1, 'none');
    RETURN NULL;
  END IF;
  IF before <> after THEN
    PERFORM presence_quota_add(NEW."accountId", after - before, 0, 'grown');
  END IF;
  RETURN NULL;
END
$$;

CREATE FUNCTION "presence_quota_PresenceTokenRevocation_gone"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  part RECORD;
BEGIN
  FOR part IN
    SELECT sums."accountId" AS "owner", sum("bytes")::bigint AS "bytes", sum("rows")::bigint AS "rows"
    FROM (
      SELECT item."accountId", count(*) AS "rows", sum(256) AS "bytes"
      FROM gone AS item GROUP BY item."accountId"
    ) AS sums GROUP BY 1 ORDER BY 1
  LOOP
    PERFORM presence_quota_add(part."owner", -part."bytes", -part."rows", 'none');
  END LOOP;
  RETURN NULL;
END
$$;

CREATE TRIGGER "presence_quota_insert" AFTER INSERT ON "PresenceTokenRevocation"
  FOR EACH ROW WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_PresenceTokenRevocation"();

CREATE TRIGGER "presence_quota_update" AFTER UPDATE OF "accountId" ON "PresenceTokenRevocation"
  FOR EACH ROW WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_PresenceTokenRevocation"();

CREATE TRIGGER "presence_quota_delete" AFTER DELETE ON "PresenceTokenRevocation" REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_PresenceTokenRevocation_gone"();

CREATE FUNCTION "presence_quota_Account"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  before BIGINT;
  after BIGINT := 0
    + coalesce(octet_length(NEW."settings"), 0);
BEGIN
  before := 0
    + coalesce(octet_length(OLD."settings"), 0);
  IF before <> after THEN
    PERFORM presence_quota_add(NEW."id", after - before, 0, 'grown');
  END IF;
  RETURN NULL;
END
$$;

CREATE TRIGGER "presence_quota_update" AFTER UPDATE OF "settings" ON "Account"
  FOR EACH ROW WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION "presence_quota_Account"();
