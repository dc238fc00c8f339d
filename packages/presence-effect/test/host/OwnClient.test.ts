/**
 * Goal: a host goes on to write through the client it has, under the permit: better-sqlite3, Kysely or Drizzle.
 * Method: each client runs transactions beside writes of the library and a foreign lock, over one real file.
 */
import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import { drizzle } from "drizzle-orm/better-sqlite3"
import { integer, sqliteTable, text } from "drizzle-orm/sqlite-core"
import * as Effect from "effect/Effect"
import { Kysely, SqliteDialect } from "kysely"
import * as PresenceHost from "../../src/host/PresenceHost.ts"
import * as Lane from "../../src/writer/Lane.ts"
import * as Write from "../../src/writer/Write.ts"
import { kinds, machine } from "../support/kinds.ts"
import { readRows, temporaryDatabase } from "../support/temporaryFile.ts"

const table = (name: string) => `CREATE TABLE ${name} (
  id TEXT PRIMARY KEY, accountId TEXT NOT NULL,
  active INTEGER NOT NULL DEFAULT 0, lastActiveAt INTEGER NOT NULL DEFAULT 0);`
const tables = `${table("Session")} ${table("Machine")}
  CREATE TABLE Account (id TEXT PRIMARY KEY, machines INTEGER NOT NULL); INSERT INTO Account VALUES ('a1', 0)`

/** Adds a machine to the account in one transaction that spans turns of the event loop; fails when `id` exists. */
type AddMachine = (id: string) => Promise<void>

interface OwnClient {
  readonly add: AddMachine
  readonly close: () => Promise<void>
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

const betterSqlite3 = (filename: string, timeout = 0): OwnClient => {
  const database = new Database(filename, { timeout })
  const insert = database.prepare("INSERT INTO Machine (id, accountId) VALUES (?, 'a1')")
  const read = database.prepare<[], number>("SELECT machines FROM Account WHERE id = 'a1'").pluck()
  const write = database.prepare("UPDATE Account SET machines = ? WHERE id = 'a1'")
  return {
    add: async (id) => {
      // IMMEDIATE: a transaction that begins with a read cannot become a write once another connection has written.
      database.exec("BEGIN IMMEDIATE")
      try {
        const before = read.get() ?? 0
        await turn()
        insert.run(id)
        write.run(before + 1)
        database.exec("COMMIT")
      } catch (error) {
        if (database.inTransaction) database.exec("ROLLBACK")
        throw error
      }
    },
    close: async () => void database.close()
  }
}

interface Schema {
  readonly Machine: { readonly id: string; readonly accountId: string }
  readonly Account: { readonly id: string; readonly machines: number }
}

const kysely = (filename: string): OwnClient => {
  const client = new Kysely<Schema>({
    dialect: new SqliteDialect({ database: new Database(filename, { timeout: 0 }) })
  })
  return {
    add: (id) =>
      client.transaction().execute(async (transaction) => {
        // The first statement takes the write lock, since Kysely begins with a plain BEGIN.
        await transaction.insertInto("Machine").values({ id, accountId: "a1" }).execute()
        const { machines } = await transaction
          .selectFrom("Account")
          .select("machines")
          .where("id", "=", "a1")
          .executeTakeFirstOrThrow()
        await turn()
        await transaction
          .updateTable("Account")
          .set({ machines: machines + 1 })
          .where("id", "=", "a1")
          .execute()
      }),
    close: () => client.destroy()
  }
}

const Machine = sqliteTable("Machine", { id: text().primaryKey(), accountId: text().notNull() })
const Account = sqliteTable("Account", { id: text().primaryKey(), machines: integer().notNull() })

const drizzled = (filename: string): OwnClient => {
  const database = new Database(filename, { timeout: 0 })
  const client = drizzle(database)
  return {
    // Drizzle's transactions on better-sqlite3 are synchronous.
    add: async (id) => {
      client.transaction(
        (transaction) => {
          const [account] = transaction.select().from(Account).all()
          transaction.insert(Machine).values({ id, accountId: "a1" }).run()
          transaction
            .update(Account)
            .set({ machines: (account?.machines ?? 0) + 1 })
            .run()
        },
        { behavior: "immediate" }
      )
    },
    close: async () => void database.close()
  }
}

const clients = { "better-sqlite3": betterSqlite3, Kysely: kysely, Drizzle: drizzled }

const house = (open: (filename: string) => OwnClient) =>
  Effect.gen(function* () {
    const filename = yield* temporaryDatabase(tables)
    const host = yield* Effect.acquireRelease(
      Effect.promise(() =>
        PresenceHost.start({ filename, kinds, presence: { interval: "20 millis" }, onLog: () => undefined })
      ),
      (host) => Effect.promise(() => host.close())
    )
    const client = yield* Effect.acquireRelease(
      Effect.sync(() => open(filename)),
      (client) => Effect.promise(() => client.close())
    )
    return { client, filename, host }
  })

const rejection = (promise: Promise<unknown>): Effect.Effect<unknown> =>
  Effect.promise(() =>
    promise.then(
      () => assert.fail("the promise was kept"),
      (reason: unknown) => reason
    )
  )

describe("a client of the host's own", () => {
  it.scopedLive.each(Object.entries(clients))("%s writes beside the library, and nobody meets a lock", ([, open]) =>
    Effect.gen(function* () {
      const { client, filename, host } = yield* house(open)
      const add = (id: string) => host.withPermit(Lane.control, () => client.add(id))
      const own = Array.from({ length: 12 }, (_, index) => add(`own-${index}`))
      const library = Array.from({ length: 12 }, (_, index) => {
        host.beat(machine("a1", `own-${index}`), Date.now())
        return host.write(
          Lane.data,
          Write.all([
            Write.statement("INSERT INTO Machine (id, accountId) VALUES (?, 'a1')", [`library-${index}`]),
            Write.statement("UPDATE Account SET machines = machines + 1 WHERE id = 'a1'")
          ])
        )
      })
      yield* Effect.promise(() => Promise.all([...own, ...library]))
      // No transaction has read what another was about to change.
      assert.deepStrictEqual(
        readRows(filename, "SELECT machines, (SELECT count(*) FROM Machine) AS rows FROM Account"),
        [{ machines: 24, rows: 24 }]
      )
      const refused = yield* rejection(add("own-0"))
      const texts = [String(refused), String((refused as { readonly cause?: unknown }).cause)].join(" ")
      assert.include(texts, "UNIQUE constraint failed")
      assert.deepStrictEqual(readRows(filename, "SELECT machines FROM Account"), [{ machines: 24 }])
    })
  )

  it.scopedLive.each(Object.entries(clients))("%s is tried again while another process holds the lock", ([, open]) =>
    Effect.gen(function* () {
      const { client, filename, host } = yield* house(open)
      const foreign = new Database(filename)
      foreign.exec("BEGIN IMMEDIATE")
      let attempts = 0
      const add = (id: string) =>
        host.withPermit(Lane.control, () => {
          // The event loop turned between two attempts, or nothing could have given the lock back.
          if (++attempts === 3) foreign.exec("COMMIT")
          return client.add(id)
        })
      yield* Effect.promise(() => add("late"))
      assert.strictEqual(attempts, 3)
      foreign.exec("BEGIN IMMEDIATE")
      const busy = yield* rejection(add("never"))
      assert.include(
        [String(busy), String((busy as { readonly cause?: unknown }).cause)].join(" "),
        "database is locked"
      )
      foreign.close()
      assert.deepStrictEqual(readRows(filename, "SELECT id FROM Machine"), [{ id: "late" }])
    })
  )

  it.scopedLive("with a busy timeout of its own stops the event loop under a lock; with timeout 0 it does not", () =>
    Effect.gen(function* () {
      /** Turns of the event loop while a write under the permit meets a lock. */
      const turnsWith = (timeout: number) =>
        Effect.scoped(
          Effect.gen(function* () {
            const { client, filename, host } = yield* house((filename) => betterSqlite3(filename, timeout))
            const foreign = new Database(filename)
            foreign.exec("BEGIN IMMEDIATE")
            let isOver = false
            let turns = 0
            const count = () => {
              if (isOver) return
              turns++
              setImmediate(count)
            }
            let attempts = 0
            yield* rejection(
              host.withPermit(Lane.control, async () => {
                if (++attempts === 1) count()
                // The loop stands still from here until the client gives up.
                const before = turns
                await client.add("x").catch((error: unknown) => {
                  if (timeout > 0) assert.strictEqual(turns, before)
                  isOver = timeout > 0
                  throw error
                })
              })
            )
            isOver = true
            foreign.close()
            return { attempts, turns }
          })
        )
      const patient = yield* turnsWith(2_000)
      const free = yield* turnsWith(0)
      // Two seconds of waiting use up the time in which the lane tries again.
      assert.deepStrictEqual(patient, { attempts: 1, turns: 1 })
      assert.isAbove(free.attempts, 1)
      assert.isAbove(free.turns, free.attempts)
    })
  )
})
