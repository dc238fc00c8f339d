/**
 * Goal: an operator who tries this server on the file of another happier light server can go back, and return again.
 * Method: a file of the other server's first release is adopted and served to a client with a token of that server;
 * then the migrations of its later releases are applied and it goes on for a while, as plain SQL; then this server
 * opens the file again.
 */
import { assert, describe, it } from "@effect/vitest"
import type Sqlite from "better-sqlite3"
import { Effect } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as Dialect from "light-server/src/database/Dialect"
import * as CountedTable from "light-server/src/quota/CountedTable"
import { until } from "../../src/drivers/Eventually.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as ServerProcess from "../../src/drivers/ServerProcess.ts"
import * as TemporaryDirectory from "../../src/drivers/TemporaryDirectory.ts"
import * as EarlierToken from "../../src/fixtures/EarlierToken.ts"
import * as FixtureBox from "../../src/fixtures/FixtureBox.ts"
import * as LaterMigrations from "../../src/fixtures/LaterMigrations.ts"
import * as Fixtures from "../../src/fixtures/make-fixtures.ts"

const masterSecret = "the secret that both servers have"

/** Of the account `a1`, made by the other server before this one had the file. */
const token = EarlierToken.make(masterSecret, { iss: "handy", sub: "a1", iat: 1_760_000_000, nbf: 1_760_000_000 })

/** A directory as the other server leaves it. */
const adoptable = Effect.map(TemporaryDirectory.make, (directory) => {
  fs.copyFileSync(Fixtures.fileOf("integers"), path.join(directory, "happier-server-light.sqlite"))
  fs.writeFileSync(path.join(directory, "handy-master-secret.txt"), `${masterSecret}\n`, { mode: 0o600 })
  return directory
})

const headers = { authorization: `Bearer ${token}` }

/** Asks by GET, and by POST when there is something to send. */
const asker = (url: string) => (route: string, payload?: object) =>
  Effect.orDie(
    payload === undefined ? Device.request(url + route, { headers }) : Device.post(url + route, payload, headers)
  )

type Ask = ReturnType<typeof asker>

/** Serves the file for as long as `use` asks, and ends in order. */
const serving = <A>(directory: string, use: (ask: Ask) => Effect.Effect<A>) =>
  Effect.gen(function* () {
    const server = yield* ServerProcess.start({ directory, environment: { HAPPIER_ACCOUNT_QUOTA: "on" } })
    const answer = yield* use(asker(yield* server.url))
    yield* server.kill("SIGTERM")
    assert.strictEqual(yield* server.exitCode, 0)
    return { answer, output: server.output().stdout }
  }).pipe(Effect.scoped)

const accepted = (ask: Ask, route: string, payload?: object) =>
  Effect.map(ask(route, payload), ({ body, status, text }) => {
    assert.strictEqual(status, 200, `${route}: ${text}`)
    return body
  })

/** What the account stores, counted in the file, and as it was told once that is the same. */
const storage = (ask: Ask, file: string) =>
  Effect.gen(function* () {
    const counted = () =>
      FixtureBox.withSqlite(file, (sqlite) =>
        sqlite.prepare(`WITH owner AS (SELECT 'a1' AS "id") ${CountedTable.totalOf(Dialect.sqlite)}`).get()
      )
    const { answer } = yield* until(accepted(ask, "/v1/account/storage"), ({ bytes, rows }) => {
      const now = counted() as { readonly bytes: number; readonly rows: number }
      return bytes === now.bytes && rows === now.rows
    })
    const kept = FixtureBox.withSqlite(file, (sqlite) =>
      sqlite.prepare(`SELECT "byteCount", "isCounted" FROM "PresenceAccountUsage" WHERE "accountId" = 'a1'`).get()
    )
    return { kept, told: { byteCount: answer["bytes"], isCounted: 1 } }
  })

const idsOf = (items: object) =>
  Object.values(items)
    .map(({ id }) => String(id))
    .toSorted()

const messagesOf = (ask: Ask, sessionId: string) =>
  Effect.map(
    accepted(ask, `/v1/sessions/${sessionId}/messages?afterSeq=0`),
    ({ messages }) => messages as ReadonlyArray<{ readonly localId: string | null; readonly seq: number }>
  )

/** What a client of the other server does with this one. */
const firstVisit = (file: string) => (ask: Ask) =>
  Effect.gen(function* () {
    assert.deepStrictEqual(idsOf(yield* accepted(ask, "/v1/machines")), ["m1", "m2"])
    yield* accepted(ask, "/v1/machines", { id: "m3", metadata: "sealed" })
    yield* accepted(ask, "/v1/machines/m2/revoke", {})
    const { session } = yield* accepted(ask, "/v1/sessions", { tag: "ours", metadata: "sealed" })
    yield* accepted(ask, "/v2/sessions/s1/messages", { ciphertext: "b3Vycw==", localId: "ours 1" })
    const { kept, told } = yield* storage(ask, file)
    assert.deepStrictEqual(kept, told)
    return String(session.id)
  })

const at = Fixtures.epochMillis + 10_000_000

/** What the other server writes when it has the file again, in its form of times. */
const theyGoOn = (sqlite: Sqlite.Database) =>
  sqlite.exec(`
    UPDATE Machine SET revokedAt = ${at} WHERE id = 'm1';
    UPDATE Session SET archivedAt = ${at}, pendingCount = 1 WHERE id = 's2';
    INSERT INTO SessionMessage (id, sessionId, localId, seq, content, createdAt, updatedAt)
      SELECT 'theirs', 's1', 'theirs 1', seq + 1, '{"t":"encrypted","c":"dGhlaXJz"}', ${at}, ${at}
      FROM Session WHERE id = 's1';
    UPDATE Session SET seq = seq + 1, updatedAt = ${at} WHERE id = 's1';
    UPDATE Account SET seq = seq + 1, updatedAt = ${at} WHERE id = 'a1';
    INSERT INTO SessionAttentionStanding VALUES ('sas1', 'a1', 's1', 1);
    INSERT INTO SessionPendingMessage (id, sessionId, localId, content, position, updatedAt)
      VALUES ('p1', 's2', 'pending', '{}', 1, ${at})`)

const soundness = (file: string) =>
  FixtureBox.withSqlite(file, (sqlite) => [sqlite.pragma("integrity_check"), sqlite.pragma("foreign_key_check")])

const isSound = [[{ integrity_check: "ok" }], []]

const indexes = (file: string, like: string) =>
  FixtureBox.withSqlite(file, (sqlite) =>
    sqlite.prepare("SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE ? ORDER BY 1").pluck().all(like)
  )

const triggers = (file: string) =>
  FixtureBox.withSqlite(file, (sqlite) =>
    sqlite.prepare("SELECT name FROM sqlite_master WHERE type = 'trigger'").pluck().all()
  )

describe("a file that was handed back", () => {
  it.scopedLive(
    "takes the later migrations of the other server, and is served again with what both have written",
    () =>
      Effect.gen(function* () {
        const directory = yield* adoptable
        const file = path.join(directory, "happier-server-light.sqlite")
        const first = yield* serving(directory, firstVisit(file))
        assert.include(first.output, "database of a happier light server adopted")
        const ownIndexes = indexes(file, "presence_%")
        assert.isNotEmpty(ownIndexes)
        assert.deepStrictEqual(triggers(file), [])

        FixtureBox.withSqlite(file, (sqlite) => LaterMigrations.apply(sqlite, at))
        assert.deepStrictEqual(soundness(file), isSound)
        // A table that is made anew has lost our indexes, and they come back with the next start.
        assert.notDeepEqual(indexes(file, "presence_%"), ownIndexes)
        FixtureBox.withSqlite(file, theyGoOn)
        const theirs = ["SessionAttentionStanding", "SessionPendingMessage", "AccountApiToken", "_prisma_migrations"]
        const before = theirs.map((table) => FixtureBox.content(file)[table])
        const theirIndexes = indexes(file, "%").filter((name) => !String(name).startsWith("presence_"))

        const again = yield* serving(directory, (ask) =>
          Effect.gen(function* () {
            // Each server has revoked a machine, and both stay revoked.
            assert.deepStrictEqual(idsOf(yield* accepted(ask, "/v1/machines")), ["m3"])
            for (const id of ["m1", "m2"]) {
              const { body, status } = yield* ask(`/v1/machines/${id}`)
              assert.deepStrictEqual([status, body], [410, { error: "machine_revoked" }])
            }
            assert.includeMembers(idsOf((yield* accepted(ask, "/v1/sessions"))["sessions"]), ["s1", first.answer])
            const { message } = yield* accepted(ask, "/v2/sessions/s1/messages", {
              ciphertext: "b3Vycw==",
              localId: "ours 2"
            })
            const stored = yield* messagesOf(ask, "s1")
            assert.deepStrictEqual(
              stored.slice(-3).map(({ localId }) => localId),
              ["ours 1", "theirs 1", "ours 2"]
            )
            assert.strictEqual(stored.at(-1)?.seq, message.seq)
            // What the other server has written counts as well.
            const { kept, told } = yield* storage(ask, file)
            assert.deepStrictEqual(kept, told)
          })
        )
        assert.include(again.output, "database of a happier light server adopted")
        // One of theirs is the same as one of ours by now.
        const needed = ownIndexes.filter((name) => name !== "presence_Session_active_lastActiveAt_idx")
        assert.deepStrictEqual(indexes(file, "presence_%"), needed)
        assert.includeMembers(indexes(file, "%"), theirIndexes)
        assert.deepStrictEqual(
          theirs.map((table) => FixtureBox.content(file)[table]),
          before
        )
        assert.deepStrictEqual(soundness(file), isSound)
        const columns = FixtureBox.withSqlite(file, (sqlite) =>
          sqlite.prepare("SELECT archivedAt, pendingCount FROM Session WHERE id = 's2'").get()
        )
        assert.deepStrictEqual(columns, { archivedAt: at, pendingCount: 1 })

        const third = yield* serving(directory, (ask) => accepted(ask, "/v1/machines"))
        assert.notInclude(third.output, "adopted")
      }),
    90_000
  )
})
