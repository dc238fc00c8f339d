import * as FileSystem from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as MigrationFolder from "../../src/migration/MigrationFolder.ts"
import * as MigrationBox from "../migration/MigrationBox.ts"

/** A box whose file has every migration of this repository. */
const migrated = Effect.tap(MigrationBox.make, (box) => box.migrate({ migrationsDir: MigrationFolder.bundledDir }))

const tables = [
  "AccessKey",
  "Account",
  "AccountAuthRequest",
  "AccountChange",
  "AccountPushToken",
  "Artifact",
  "Machine",
  "PresenceAccountDisablement",
  "PresenceAccountUsage",
  "PresenceMachineRevocation",
  "PresenceSessionArchive",
  "PresenceTokenRevocation",
  "ServerHeartbeat",
  "ServiceAccountToken",
  "Session",
  "SessionMessage",
  "TerminalAuthRequest",
  "TokenRevocation",
  "UsageReport",
  "UserKVStore"
]

const columns = {
  AccessKey: [
    "id TEXT key",
    "accountId TEXT",
    "machineId TEXT",
    "sessionId TEXT",
    "data TEXT",
    "dataVersion INTEGER = 0",
    "createdAt DATETIME",
    "updatedAt DATETIME"
  ],
  AccountPushToken: ["id TEXT key", "accountId TEXT", "token TEXT", "createdAt DATETIME", "updatedAt DATETIME"],
  Artifact: [
    "id TEXT key",
    "accountId TEXT",
    "header BLOB",
    "headerVersion INTEGER = 0",
    "body BLOB",
    "bodyVersion INTEGER = 0",
    "dataEncryptionKey BLOB",
    "seq INTEGER = 0",
    "createdAt DATETIME",
    "updatedAt DATETIME"
  ],
  ServiceAccountToken: [
    "id TEXT key",
    "accountId TEXT",
    "vendor TEXT",
    "token BLOB",
    "metadata JSONB?",
    "createdAt DATETIME",
    "updatedAt DATETIME",
    "lastUsedAt DATETIME?"
  ],
  UserKVStore: [
    "id TEXT key",
    "accountId TEXT",
    "key TEXT",
    "value BLOB?",
    "version INTEGER = 0",
    "createdAt DATETIME",
    "updatedAt DATETIME"
  ],
  Account: [
    "id TEXT key",
    "publicKey TEXT",
    "contentPublicKey BLOB?",
    "contentPublicKeySig BLOB?",
    "seq INTEGER = 0",
    "changesFloor INTEGER = 0",
    "feedSeq BIGINT = 0",
    "createdAt DATETIME",
    "updatedAt DATETIME",
    "settings TEXT?",
    "settingsVersion INTEGER = 0",
    "githubUserId TEXT?",
    "firstName TEXT?",
    "lastName TEXT?",
    "username TEXT?",
    "avatar JSONB?"
  ],
  AccountAuthRequest: [
    "id TEXT key",
    "publicKey TEXT",
    "response TEXT?",
    "responseAccountId TEXT?",
    "createdAt DATETIME",
    "updatedAt DATETIME"
  ],
  AccountChange: [
    "accountId TEXT key",
    "kind TEXT key",
    "entityId TEXT key",
    "cursor INTEGER",
    "changedAt DATETIME",
    "hint JSONB?",
    "sessionId TEXT?",
    "machineId TEXT?"
  ],
  Machine: [
    "id TEXT key",
    "accountId TEXT",
    "metadata TEXT",
    "metadataVersion INTEGER = 0",
    "daemonState TEXT?",
    "daemonStateVersion INTEGER = 0",
    "dataEncryptionKey BLOB?",
    "seq INTEGER = 0",
    "active BOOLEAN = true",
    "lastActiveAt DATETIME",
    "createdAt DATETIME",
    "updatedAt DATETIME"
  ],
  PresenceMachineRevocation: ["machineId TEXT key", "revokedAt DATETIME"],
  PresenceSessionArchive: ["sessionId TEXT key", "archivedAt DATETIME"],
  PresenceAccountDisablement: ["accountId TEXT key", "disabledAt DATETIME"],
  PresenceAccountUsage: [
    "accountId TEXT key",
    "byteCount BIGINT",
    "rowCount BIGINT",
    "isCounted BOOLEAN",
    "recountCount INTEGER = 0"
  ],
  PresenceTokenRevocation: ["digest TEXT key", "accountId TEXT", "revokedAt DATETIME"],
  ServerHeartbeat: ["id INTEGER key", "beatAt DATETIME"],
  Session: [
    "id TEXT key",
    "tag TEXT",
    "accountId TEXT",
    "metadata TEXT",
    "metadataVersion INTEGER = 0",
    "agentState TEXT?",
    "agentStateVersion INTEGER = 0",
    "dataEncryptionKey BLOB?",
    "seq INTEGER = 0",
    "active BOOLEAN = true",
    "lastActiveAt DATETIME",
    "createdAt DATETIME",
    "updatedAt DATETIME"
  ],
  SessionMessage: [
    "id TEXT key",
    "sessionId TEXT",
    "localId TEXT?",
    "seq INTEGER",
    "content JSONB",
    "createdAt DATETIME",
    "updatedAt DATETIME"
  ],
  TerminalAuthRequest: [
    "id TEXT key",
    "publicKey TEXT",
    "supportsV2 BOOLEAN = false",
    "response TEXT?",
    "responseAccountId TEXT?",
    "createdAt DATETIME",
    "updatedAt DATETIME"
  ],
  TokenRevocation: ["accountId TEXT key", "epoch INTEGER", "revokedAt DATETIME"],
  UsageReport: [
    "id TEXT key",
    "key TEXT",
    "accountId TEXT",
    "sessionId TEXT?",
    "data JSONB",
    "createdAt DATETIME",
    "updatedAt DATETIME"
  ]
}

const indexes = {
  AccessKey: ["accountId", "machineId", "sessionId", "unique accountId, machineId, sessionId"],
  AccountPushToken: ["unique accountId, token"],
  Artifact: ["accountId", "accountId, updatedAt"],
  PresenceAccountDisablement: [],
  PresenceAccountUsage: [],
  PresenceMachineRevocation: [],
  PresenceSessionArchive: [],
  PresenceTokenRevocation: ["accountId"],
  ServiceAccountToken: ["accountId", "unique accountId, vendor"],
  UserKVStore: ["accountId", "unique accountId, key"],
  Account: ["unique githubUserId", "unique publicKey", "unique username"],
  AccountAuthRequest: ["unique publicKey", "updatedAt"],
  AccountChange: ["accountId, cursor", "machineId", "sessionId"],
  Machine: ["accountId", "active, lastActiveAt", "unique accountId, id"],
  ServerHeartbeat: [],
  Session: [
    "accountId WHERE",
    "accountId, id",
    "accountId, updatedAt",
    "active, lastActiveAt",
    "unique accountId, tag"
  ],
  SessionMessage: ["sessionId, seq", "unique sessionId, localId"],
  TerminalAuthRequest: ["unique publicKey", "updatedAt"],
  TokenRevocation: [],
  UsageReport: [
    "accountId",
    "accountId, createdAt",
    "sessionId",
    "sessionId, createdAt",
    "unique accountId, key WHERE",
    "unique accountId, sessionId, key"
  ]
}

const foreignKeys = {
  AccessKey: [
    "accountId -> Account.id RESTRICT",
    "accountId -> Machine.accountId RESTRICT",
    "machineId -> Machine.id RESTRICT",
    "sessionId -> Session.id RESTRICT"
  ],
  AccountPushToken: ["accountId -> Account.id RESTRICT"],
  Artifact: ["accountId -> Account.id RESTRICT"],
  PresenceAccountDisablement: ["accountId -> Account.id CASCADE"],
  PresenceAccountUsage: ["accountId -> Account.id CASCADE"],
  PresenceMachineRevocation: ["machineId -> Machine.id CASCADE"],
  PresenceSessionArchive: ["sessionId -> Session.id CASCADE"],
  PresenceTokenRevocation: ["accountId -> Account.id CASCADE"],
  ServiceAccountToken: ["accountId -> Account.id CASCADE"],
  UserKVStore: ["accountId -> Account.id CASCADE"],
  Account: [],
  AccountAuthRequest: ["responseAccountId -> Account.id SET NULL"],
  AccountChange: [
    "accountId -> Account.id RESTRICT",
    "machineId -> Machine.id SET NULL",
    "sessionId -> Session.id SET NULL"
  ],
  Machine: ["accountId -> Account.id RESTRICT"],
  ServerHeartbeat: [],
  Session: ["accountId -> Account.id RESTRICT"],
  SessionMessage: ["sessionId -> Session.id RESTRICT"],
  TerminalAuthRequest: ["responseAccountId -> Account.id SET NULL"],
  TokenRevocation: ["accountId -> Account.id CASCADE"],
  UsageReport: ["accountId -> Account.id RESTRICT", "sessionId -> Session.id SET NULL"]
}

const perTable = (read: (table: string) => ReadonlyArray<unknown>) =>
  Object.fromEntries(tables.map((table) => [table, read(table)]))

const columnsOf = (box: MigrationBox.MigrationBox) =>
  perTable((table) =>
    box.pluck(
      `SELECT name || ' ' || type || iif("notnull", '', '?') || coalesce(' = ' || dflt_value, '') || iif(pk, ' key', '')
         FROM pragma_table_info(?) ORDER BY cid`,
      table
    )
  )

const indexesOf = (box: MigrationBox.MigrationBox) =>
  perTable((table) =>
    box.pluck(
      `SELECT iif("unique", 'unique ', '')
         || (SELECT group_concat(name, ', ') FROM pragma_index_info(list.name))
         || iif(partial, ' WHERE', '')
       FROM pragma_index_list(?) AS list WHERE origin = 'c' ORDER BY 1`,
      table
    )
  )

const foreignKeysOf = (box: MigrationBox.MigrationBox) =>
  perTable((table) =>
    box.pluck(
      `SELECT "from" || ' -> ' || "table" || '.' || "to" || ' ' || on_delete
       FROM pragma_foreign_key_list(?) ORDER BY 1`,
      table
    )
  )

const sqlTypes: Record<string, string> = {
  String: "TEXT",
  Int: "INTEGER",
  BigInt: "BIGINT",
  Boolean: "BOOLEAN",
  Bytes: "BLOB",
  DateTime: "DATETIME",
  Json: "JSONB"
}

/** Reads as much of the schema language as `prisma/schema.prisma` uses. */
const parseSchema = () => {
  const text = FileSystem.readFileSync(Path.join(MigrationFolder.bundledDir, "..", "schema.prisma"), "utf8")
  const models = Array.from(text.matchAll(/^model (\w+) \{\n([^}]*)^\}/gm), ([, name = "", body = ""]) => {
    const lines = body.split("\n").map((line) => line.trim())
    const fields = lines
      .map((line) => /^(\w+)\s+(\w+)(\??)(\s.*)?$/.exec(line))
      .filter((field) => field !== null)
      .map(([, field = "", type = "", optional = "", attributes = ""]) => ({ field, type, optional, attributes }))
    const scalars = fields.filter(({ type }) => type in sqlTypes)
    const together = /^\s*@@id\(\[([^\]]+)\]\)/m.exec(body)?.[1]?.split(", ") ?? []
    return {
      name,
      columns: scalars.map(({ attributes, field, optional, type }) => {
        const initial = /@default\((\w+)\)/.exec(attributes)?.[1]
        return [
          `${field} ${sqlTypes[type]}${optional}`,
          ...(initial === undefined ? [] : [`= ${initial}`]),
          ...(/@id\b/.test(attributes) || together.includes(field) ? ["key"] : [])
        ].join(" ")
      }),
      indexes: [
        ...scalars.filter(({ attributes }) => /@unique\b/.test(attributes)).map(({ field }) => `unique ${field}`),
        ...lines
          .map((line) => /^@@(unique|index)\(\[([^\]]+)\](?:, map: "\w+")?\)/.exec(line))
          .filter((index) => index !== null)
          .map(([, kind, list]) => (kind === "unique" ? `unique ${list}` : list))
      ].toSorted(),
      foreignKeys: fields
        .flatMap(({ attributes, type }) => {
          const relation = /@relation\(fields: \[([^\]]+)\], references: \[([^\]]+)\], onDelete: (\w+)\)/.exec(
            attributes
          )
          if (relation === null) return []
          const [, columns = "", parents = "", action = ""] = relation
          const words = action.replace(/\B[A-Z]/, " $&").toUpperCase()
          return columns
            .split(", ")
            .map((column, index) => `${column} -> ${type}.${parents.split(", ")[index]} ${words}`)
        })
        .toSorted()
    }
  })
  const part = (key: "columns" | "indexes" | "foreignKeys") =>
    Object.fromEntries(models.map((model) => [model.name, model[key]]))
  return { columns: part("columns"), indexes: part("indexes"), foreignKeys: part("foreignKeys") }
}

describe("prisma/schema.prisma", () => {
  it.scoped("names the columns that the migrations create, and no others", () =>
    Effect.gen(function* () {
      const box = yield* migrated
      assert.deepStrictEqual(columnsOf(box), columns)
      assert.deepStrictEqual(parseSchema().columns, columns)
    })
  )

  it.scoped("names the indexes that the migrations create, all but the partial ones", () =>
    Effect.gen(function* () {
      const box = yield* migrated
      assert.deepStrictEqual(indexesOf(box), indexes)
      assert.deepStrictEqual(parseSchema().indexes, {
        ...indexes,
        Session: indexes.Session.filter((index) => !index.endsWith("WHERE")),
        UsageReport: indexes.UsageReport.filter((index) => !index.endsWith("WHERE"))
      })
    })
  )

  it.scoped("names the foreign keys that the migrations create", () =>
    Effect.gen(function* () {
      const box = yield* migrated
      assert.deepStrictEqual(foreignKeysOf(box), foreignKeys)
      assert.deepStrictEqual(parseSchema().foreignKeys, foreignKeys)
    })
  )
})

describe("the tables", () => {
  const insertAccount = `INSERT INTO Account (id, publicKey, createdAt, updatedAt) VALUES ('a', 'k', 1, 1)`
  const insertSession = (id: string) =>
    `INSERT INTO Session (id, tag, accountId, metadata, lastActiveAt, createdAt, updatedAt)
     VALUES ('${id}', 'tag-${id}', 'a', '{}', 1700000000000, 1, 1)`
  const insertReport = (id: string, sessionId: string | null) =>
    `INSERT INTO UsageReport (id, key, accountId, sessionId, data, createdAt, updatedAt)
     VALUES ('${id}', 'k', 'a', ${sessionId === null ? "NULL" : `'${sessionId}'`}, '{}', 1, 1)`

  for (const table of ["Session", "Machine"]) {
    it.scoped(`let the offline sweep find a ${table} through an index`, () =>
      Effect.gen(function* () {
        const box = yield* migrated
        const plan = box.all(
          `EXPLAIN QUERY PLAN SELECT id FROM ${table} WHERE active = 1 AND lastActiveAt < 1 LIMIT 100`
        ) as Array<{ readonly detail: string }>
        assert.deepStrictEqual(
          plan.map(({ detail }) => detail),
          [`SEARCH ${table} USING INDEX presence_${table}_active_lastActiveAt_idx (active=? AND lastActiveAt<?)`]
        )
      })
    )
  }

  it.scoped("let a later migration of another server add its column for archived sessions", () =>
    Effect.gen(function* () {
      const box = yield* migrated
      box.withSqlite((sqlite) => sqlite.exec(`ALTER TABLE "Session" ADD COLUMN "archivedAt" DATETIME`))
      assert.strictEqual(columnsOf(box)["Session"]?.at(-1), "archivedAt DATETIME?")
    })
  )

  it.scoped("keep times as integers, also those that the driver binds as floating point", () =>
    Effect.gen(function* () {
      const box = yield* migrated
      box.withSqlite((sqlite) => {
        sqlite.exec(`${insertAccount}; ${insertSession("s")}`)
        sqlite.prepare("UPDATE Session SET updatedAt = ?").run(1_700_000_000_001)
      })
      assert.deepStrictEqual(
        box.all("SELECT typeof(lastActiveAt) AS l, typeof(updatedAt) AS u, updatedAt FROM Session"),
        [{ l: "integer", u: "integer", updatedAt: 1_700_000_000_001 }]
      )
    })
  )

  it.scoped("refuse a row without its times instead of filling in text", () =>
    Effect.gen(function* () {
      const box = yield* migrated
      assert.throws(
        () => box.withSqlite((sqlite) => sqlite.exec(`INSERT INTO Account (id, publicKey) VALUES ('a', 'k')`)),
        /NOT NULL constraint failed: Account.createdAt/
      )
    })
  )

  it.scoped("hold one usage report per account and key without a session, and one per session besides", () =>
    Effect.gen(function* () {
      const box = yield* migrated
      box.withSqlite((sqlite) => {
        sqlite.exec(`${insertAccount}; ${insertSession("s")}; ${insertReport("r1", null)}; ${insertReport("r2", "s")}`)
        assert.throws(() => sqlite.exec(insertReport("r3", null)), /UNIQUE constraint failed/)
        assert.throws(() => sqlite.exec(insertReport("r3", "s")), /UNIQUE constraint failed/)
        sqlite.exec(
          `${insertReport("r3", null)} ON CONFLICT (accountId, key) WHERE sessionId IS NULL DO UPDATE SET updatedAt = 2`
        )
      })
      assert.deepStrictEqual(box.all("SELECT id, updatedAt FROM UsageReport ORDER BY id"), [
        { id: "r1", updatedAt: 2 },
        { id: "r2", updatedAt: 1 }
      ])
    })
  )

  it.scoped(
    "require that the usage reports of a session are deleted before it, since they cannot all lose their session",
    () =>
      Effect.gen(function* () {
        const box = yield* migrated
        box.withSqlite((sqlite) => {
          sqlite.exec(
            `${insertAccount}; ${insertSession("s")}; ${insertReport("r1", null)}; ${insertReport("r2", "s")}`
          )
          assert.throws(() => sqlite.exec("DELETE FROM Session"), /UNIQUE constraint failed/)
          sqlite.exec("DELETE FROM UsageReport WHERE sessionId = 's'; DELETE FROM Session")
        })
        assert.deepStrictEqual(box.all("SELECT id FROM UsageReport"), [{ id: "r1" }])
      })
  )
})
