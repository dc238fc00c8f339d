/** The stories of the incident on a real database server: presence, control writes and a foreign transaction. */
import { assert, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Presence from "../../src/Presence.ts"
import type { PresenceKinds } from "../../src/presence/PresenceKind.ts"
import type { PresenceStorage } from "../../src/presence/PresenceStorage.ts"
import type { PresenceReader } from "../../src/sqlite/SqlitePresenceStorage.ts"
import { Engine, type EngineService } from "../../src/writer/Engine.ts"
import * as Lane from "../../src/writer/Lane.ts"
import * as Write from "../../src/writer/Write.ts"
import * as Writer from "../../src/writer/Writer.ts"
import { makeProxy, through } from "./tcpProxy.ts"

const kinds = {
  session: { table: "Session", accountId: "accountId" },
  seat: { table: "room-seats", id: "number", accountId: "room", key: ["accountId", "id"], active: "taken" }
} as const satisfies PresenceKinds

class Stories extends Presence.Tag("test/Stories", kinds)<Stories>() {}

const start = 1_800_000_000_000

export interface StoryServer {
  readonly ddl: (kinds: PresenceKinds) => string
  readonly make: (ddl: string) => Effect.Effect<
    {
      readonly url: string
      readonly query: (sql: string) => Promise<ReadonlyArray<Record<string, unknown>>>
      readonly session: () => Promise<(sql: string) => Promise<unknown>>
    },
    never,
    Scope.Scope
  >
  readonly engine: (url: string) => Layer.Layer<Engine, unknown>
  readonly reader: (url: string) => Layer.Layer<PresenceReader, unknown>
  readonly storage: Layer.Layer<PresenceStorage, unknown, Writer.Writer | PresenceReader>
  readonly quote: (name: string) => string
}

export const storyKinds = kinds

const nine = Array.from({ length: 9 }, (_, index) => `s${index + 1}`)

const makeHouse = (server: StoryServer, url: string) =>
  Effect.gen(function* () {
    yield* TestClock.setTime(start)
    const calls: Array<number> = []
    const counted = Layer.map(server.engine(url), (context) => {
      const engine: EngineService = Context.get(context, Engine)
      return Context.make(Engine, {
        ...engine,
        run: (group, ...rest) => {
          calls.push(group.flat().length)
          return engine.run(group, ...rest)
        }
      })
    })
    const scope = yield* Scope.make()
    const services = yield* Layer.buildWithScope(
      Presence.layer(Stories, { startGrace: "1 hour" }).pipe(
        Layer.provide(server.storage),
        Layer.provideMerge(Writer.layer()),
        Layer.provide(counted),
        Layer.provide(server.reader(url))
      ),
      scope
    )
    calls.length = 0
    return {
      calls,
      presence: Context.get(services, Stories),
      writer: Context.get(services, Writer.Writer),
      close: Scope.close(scope, Exit.void)
    }
  })

export const storySuite = (server: StoryServer): void => {
  const { quote } = server
  const insert = (id: string) =>
    Write.statement(`INSERT INTO ${quote("Session")} (id, ${quote("accountId")}) VALUES ('${id}', 'a')`, [], {
      changes: 1
    })
  const world = Effect.gen(function* () {
    const made = yield* server.make(server.ddl(kinds))
    for (const id of nine) yield* Effect.promise(() => made.query(insert(id).statements[0]?.sql ?? ""))
    const online = Effect.promise(async () => {
      const rows = await made.query(`SELECT id FROM ${quote("Session")} WHERE active = true ORDER BY id`)
      return rows.map(({ id }) => id)
    })
    return { ...made, online }
  })
  const session = (id: string) => ({ kind: "session", accountId: "a", id }) as const

  it.scoped("a flush of nine sessions is one transaction, and a registration beside it one more", () =>
    Effect.gen(function* () {
      const { online, query, url } = yield* world
      const { calls, close, presence, writer } = yield* makeHouse(server, url)
      yield* Effect.promise(() =>
        query(`INSERT INTO ${quote("room-seats")} (${quote("number")}, room) VALUES ('1', 'red'), ('1', 'blue')`)
      )
      for (const id of nine) presence.beat(session(id), start)
      for (const accountId of ["red", "blue"]) presence.beat({ kind: "seat", accountId, id: "1" }, start)
      yield* Effect.all([presence.flush, writer.write(Lane.control, insert("s10"))], { concurrency: "unbounded" })
      assert.strictEqual(calls.length, 2)
      assert.deepStrictEqual(yield* online, nine)
      assert.deepInclude(yield* presence.status, { pendingCount: 0, trackedCount: 11 })
      const seats = yield* Effect.promise(() => query(`SELECT taken FROM ${quote("room-seats")}`))
      assert.deepStrictEqual(
        seats.map(({ taken }) => Number(taken)),
        [1, 1]
      )
      yield* close
    })
  )

  it.scoped("a row that another program holds delays neither the other rows nor a registration", () =>
    Effect.gen(function* () {
      const made = yield* world
      const { close, presence, writer } = yield* makeHouse(server, made.url)
      const foreign = yield* Effect.promise(made.session)
      yield* Effect.promise(() => foreign("BEGIN"))
      yield* Effect.promise(() => foreign(`UPDATE ${quote("Session")} SET active = false WHERE id = 's4'`))
      for (const id of nine) presence.beat(session(id), start)
      yield* presence.flush
      yield* writer.write(Lane.control, insert("s10"))
      assert.deepStrictEqual(
        yield* made.online,
        nine.filter((id) => id !== "s4")
      )
      assert.deepInclude(yield* presence.status, { pendingCount: 1, trackedCount: 9, consecutiveFlushFailures: 0 })
      presence.beat(session("s4"), start + 1)
      yield* Effect.promise(() => foreign("COMMIT"))
      yield* presence.flush
      assert.deepStrictEqual(yield* made.online, nine)
      yield* close
    })
  )

  it.scoped("a server that is away costs nothing but time, and a shutdown writes what is left", () =>
    Effect.gen(function* () {
      const made = yield* world
      const proxy = yield* makeProxy(Number(new URL(made.url).port))
      const { close, presence, writer } = yield* makeHouse(server, through(made.url, proxy))
      yield* Effect.promise(proxy.goAway)
      for (const id of nine) presence.beat(session(id), start)
      yield* presence.flush
      yield* presence.flush
      assert.deepInclude(yield* presence.status, { pendingCount: 9, consecutiveFlushFailures: 2 })
      const refused = yield* Effect.fork(Effect.flip(writer.write(Lane.data, insert("s10"))))
      yield* Effect.promise(proxy.comeBack)
      yield* TestClock.adjust("5 seconds")
      yield* Effect.exit(refused)
      for (const id of nine) presence.beat(session(id), start + 1)
      yield* close
      assert.deepStrictEqual((yield* made.online).slice(0, 9), nine)
    })
  )
}
