import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import * as fs from "node:fs"
import * as path from "node:path"
import * as PresenceHost from "../../src/host/PresenceHost.ts"
import * as PresenceMetrics from "../../src/presence/PresenceMetrics.ts"
import * as DatabaseName from "../../src/writer/DatabaseName.ts"
import * as Lane from "../../src/writer/Lane.ts"
import * as ForeignLock from "../../src/testing/ForeignLock.ts"
import * as Write from "../../src/writer/Write.ts"
import * as WriterError from "../../src/writer/WriterError.ts"
import * as WriterPolicy from "../../src/writer/WriterPolicy.ts"
import { gate } from "../support/gate.ts"
import { readRows, temporaryDatabase, temporaryDirectory } from "../support/temporaryFile.ts"
import { kinds } from "../support/kinds.ts"

const table = (name: string) => `CREATE TABLE ${name} (
  id TEXT PRIMARY KEY, accountId TEXT NOT NULL,
  active INTEGER NOT NULL DEFAULT 0, lastActiveAt INTEGER NOT NULL DEFAULT 0);`
const tables = `${table("Session")} ${table("Machine")} INSERT INTO Machine (id, accountId) VALUES ('m1', 'a1')`
const machine = { kind: "machine", accountId: "a1", id: "m1" } as const
const insert = (id: string) =>
  Write.statement("INSERT INTO Machine (id, accountId) VALUES (?, 'a1')", [id], { changes: 1 })

/** A host on a fresh file, closed with the scope, and what it logged. */
const house = (options: Partial<PresenceHost.HostOptions> = {}) =>
  Effect.gen(function* () {
    const filename = yield* temporaryDatabase(tables)
    const lines: Array<PresenceHost.LogLine> = []
    const host = yield* Effect.acquireRelease(
      Effect.promise(() => PresenceHost.start({ filename, kinds, onLog: (line) => lines.push(line), ...options })),
      (host) => Effect.promise(() => host.close())
    )
    return { filename, host, lines }
  })

/** What a promise rejects with. */
const rejection = (promise: Promise<unknown>): Effect.Effect<unknown> =>
  Effect.promise(() =>
    promise.then(
      () => assert.fail("the promise was kept"),
      (reason: unknown) => reason
    )
  )

/** One turn of the event loop. */
const turn = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

describe("PresenceHost", () => {
  it.scopedLive("answers a heartbeat at once and has it in the file when it closes", () =>
    Effect.gen(function* () {
      const { filename, host } = yield* house()
      const now = Date.now()
      assert.strictEqual(host.beat(machine, now), "online")
      assert.strictEqual(host.beat(machine, now), "alive")
      assert.deepStrictEqual(host.lastSeen(machine), { isOnline: true, lastSeenMillis: now })
      assert.deepStrictEqual(readRows(filename, "SELECT active FROM Machine"), [{ active: 0 }])
      assert.deepInclude(host.status().presence, { trackedCount: 1, pendingCount: 1 })
      yield* Effect.promise(() => host.close())
      assert.deepStrictEqual(readRows(filename, "SELECT active, lastActiveAt FROM Machine"), [
        { active: 1, lastActiveAt: now }
      ])
    })
  )

  it.scopedLive("keeps the kinds of its options online, and writes what waits when it is told to", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase(`
        CREATE TABLE "user-sensors" (id TEXT PRIMARY KEY, active INTEGER, lastActiveAt INTEGER);
        CREATE TABLE laptop (id TEXT, owner TEXT, active INTEGER, lastActiveAt INTEGER, PRIMARY KEY (owner, id));
        INSERT INTO "user-sensors" VALUES ('x', 0, 0);
        INSERT INTO laptop VALUES ('laptop', 'a', 0, 0), ('laptop', 'b', 0, 0)`)
      const host = yield* Effect.acquireRelease(
        Effect.promise(() =>
          PresenceHost.start({
            filename,
            kinds: {
              sensor: { table: "user-sensors" },
              laptop: { accountId: "owner", key: ["accountId", "id"] }
            },
            databaseName: "house",
            onLog: () => undefined
          })
        ),
        (host) => Effect.promise(() => host.close())
      )
      const now = Date.now()
      host.beat({ kind: "sensor", id: "x" }, now)
      host.beat({ kind: "laptop", accountId: "a", id: "laptop" }, now)
      host.beat({ kind: "laptop", accountId: "b", id: "laptop" }, now)
      assert.isUndefined(yield* Effect.promise(() => host.flush()))
      assert.isUndefined(yield* Effect.promise(() => host.end({ kind: "laptop", accountId: "b", id: "laptop" }, now)))
      assert.deepStrictEqual(readRows(filename, `SELECT active FROM "user-sensors"`), [{ active: 1 }])
      assert.deepStrictEqual(readRows(filename, "SELECT owner, active FROM laptop ORDER BY owner"), [
        { owner: "a", active: 1 },
        { owner: "b", active: 0 }
      ])
      const rows = DatabaseName.labelled("house")(PresenceMetrics.tracked("laptop"))
      assert.strictEqual((yield* Metric.value(rows)).value, 2)
      // @ts-expect-error no such kind
      assert.throws(() => host.beat({ kind: "session", id: "x" }, now), /only sensor, laptop/)
    })
  )

  it.scopedLive("counts connections, ends a row at once in the file, calls listeners, and forgets", () =>
    Effect.gen(function* () {
      const { filename, host } = yield* house()
      const heard: Array<string> = []
      const stop = host.onTransition(({ key, reason }) => heard.push(`${key.id} ${reason}`))
      const deaf = host.onTransition(() => heard.push("never"))
      deaf()
      deaf()
      assert.strictEqual(host.connected(machine), "online")
      host.disconnected(machine)
      yield* Effect.promise(() => host.end(machine, Date.now()))
      assert.deepStrictEqual(readRows(filename, "SELECT active FROM Machine"), [{ active: 0 }])
      assert.deepStrictEqual(heard, ["m1 ended"])
      stop()
      host.forget(machine)
      assert.isUndefined(host.lastSeen(machine))
    })
  )

  it.scopedLive("commits a write and returns its decoded value", () =>
    Effect.gen(function* () {
      const { filename, host } = yield* house()
      const value = yield* Effect.promise(() =>
        host.write(
          Lane.control,
          Write.map(insert("m2"), ({ changes }) => changes)
        )
      )
      assert.strictEqual(value, 1)
      assert.deepStrictEqual(readRows(filename, "SELECT count(*) AS count FROM Machine"), [{ count: 2 }])
      assert.isDefined(host.status().writer.lastCommitMillis)
    })
  )

  it.scopedLive("rejects with the typed failure itself", () =>
    Effect.gen(function* () {
      const { host } = yield* house()
      const error = yield* rejection(host.write(Lane.control, insert("m1")))
      assert.instanceOf(error, WriterError.WriteRejected)
      assert.isTrue(WriterError.isWriterError(error))
      assert.deepInclude(error, { _tag: "WriteRejected", code: "SQLITE_CONSTRAINT_PRIMARYKEY", written: "nothing" })
      const stranger = yield* rejection(host.write(Lane.make("replication"), insert("m3")))
      assert.include(String(stranger), "no lane replication, only control, data")
    })
  )

  it.scopedLive("meets a real foreign lock: refused within the lane's deadline, beats kept, all well after it", () =>
    Effect.gen(function* () {
      const { filename, host } = yield* house({ presence: { interval: "20 millis" } })
      const lock = yield* Scope.make()
      yield* Scope.extend(ForeignLock.hold(filename), lock)
      const now = Date.now()
      assert.strictEqual(host.beat(machine, now), "online")
      const error = yield* rejection(host.write(Lane.control, insert("m2")))
      assert.deepInclude(error, { _tag: "DatabaseBusy", lane: Lane.control, written: "nothing" })
      assert.isBelow(Date.now() - now, 2_000)
      assert.isAbove(host.status().presence.consecutiveFlushFailures, 0)
      assert.strictEqual(host.status().presence.pendingCount, 1)
      yield* Scope.close(lock, Exit.void)
      yield* Effect.promise(() => host.write(Lane.control, insert("m2")))
      yield* Effect.promise(() => host.close())
      assert.deepStrictEqual(readRows(filename, "SELECT id, active FROM Machine ORDER BY id"), [
        { id: "m1", active: 1 },
        { id: "m2", active: 0 }
      ])
    })
  )

  describe("withPermit", () => {
    it.scopedLive("keeps the writer out while a client of the host writes, one body at a time", () =>
      Effect.gen(function* () {
        const { filename, host } = yield* house()
        const own = new Database(filename, { timeout: 0 })
        let inside = 0
        const body = async (id: string) => {
          assert.strictEqual(++inside, 1)
          own.exec("BEGIN IMMEDIATE")
          own.prepare("INSERT INTO Machine (id, accountId) VALUES (?, 'a1')").run(id)
          await new Promise((resolve) => setImmediate(resolve))
          own.exec("COMMIT")
          inside--
          return id
        }
        const results = yield* Effect.promise(() =>
          Promise.all([
            host.withPermit(Lane.data, () => body("one")),
            host.write(Lane.control, insert("two")),
            host.withPermit(Lane.data, () => body("three")),
            host.withPermit(Lane.control, () => body("four"))
          ])
        )
        own.close()
        assert.deepStrictEqual([results[0], results[2], results[3]], ["one", "three", "four"])
        assert.deepStrictEqual(readRows(filename, "SELECT count(*) AS count FROM Machine"), [{ count: 5 }])
      })
    )

    it.scopedLive("rejects with what the body rejects with, after trying a busy database again", () =>
      Effect.gen(function* () {
        const { host } = yield* house()
        const mine = new Error("mine")
        const failing = () => Promise.reject(mine)
        assert.strictEqual(yield* rejection(host.withPermit(Lane.data, failing)), mine)
        const throwing = () => {
          throw mine
        }
        assert.strictEqual(yield* rejection(host.withPermit(Lane.data, throwing)), mine)
        let attempts = 0
        const busy = Object.assign(new Error("locked"), { code: "SQLITE_BUSY" })
        const flaky = () => (++attempts < 3 ? Promise.reject(busy) : Promise.resolve(attempts))
        assert.strictEqual(yield* Effect.promise(() => host.withPermit(Lane.control, flaky)), 3)
      })
    )

    it.scopedLive("rejects at once what a body asks for, naming both lanes, and serves it after the body", () =>
      Effect.gen(function* () {
        const { host } = yield* house()
        let later: Promise<unknown> = Promise.resolve()
        const hold = gate()
        const asks = [
          () => host.write(Lane.presence, insert("m2")),
          () => host.withPermit(Lane.presence, async () => 1)
        ]
        for (const ask of asks) {
          const error = yield* rejection(host.withPermit(Lane.control, async () => ask()))
          assert.deepInclude(error, { _tag: "NestedPermit", lane: Lane.presence, holder: Lane.control })
        }
        yield* Effect.promise(() =>
          host.withPermit(Lane.control, async () => {
            later = hold.promise.then(() => host.write(Lane.control, insert("m3")))
          })
        )
        hold.open(undefined)
        yield* Effect.promise(() => later)
      })
    )

    it.scopedLive("lets the caller go at the hold limit, keeps the permit, and aborts the body when it closes", () =>
      Effect.gen(function* () {
        const policy: WriterPolicy.WriterPolicy = {
          ...WriterPolicy.defaults,
          lanes: WriterPolicy.defaults.lanes.map((lane) => ({
            ...lane,
            holdLimit: "50 millis",
            acquireTimeout: "50 millis",
            deadline: "10 seconds"
          }))
        }
        const { host } = yield* house({ policy, wal: { drainTimeout: "50 millis" } })
        const forever = gate()
        let signal: AbortSignal | undefined
        const stuck = host.withPermit(Lane.data, (given) => {
          signal = given
          return forever.promise
        })
        assert.deepInclude(yield* rejection(stuck), { _tag: "WriteUnconfirmed", reason: "hold-limit" })
        assert.deepInclude(host.status().writer.holder, { lane: Lane.data })
        assert.deepInclude(yield* rejection(host.write(Lane.control, insert("m2"))), { _tag: "PermitTimeout" })
        assert.isFalse(signal?.aborted)
        yield* Effect.promise(() => host.close())
        assert.isTrue(signal?.aborted)
      })
    )
  })

  it.scopedLive("takes a waiting write back when its signal aborts, and rejects with the reason", () =>
    Effect.gen(function* () {
      const { filename, host } = yield* house()
      const hold = gate()
      const holder = host.withPermit(Lane.control, () => hold.promise)
      while (host.status().writer.holder === undefined) yield* turn
      const abort = new AbortController()
      const waiting = rejection(host.write(Lane.control, insert("m9"), { signal: abort.signal }))
      const reason = new Error("the client hung up")
      const rejected = yield* Effect.fork(waiting)
      while (host.status().writer.lanes.every(({ waiterCount }) => waiterCount === 0)) yield* turn
      abort.abort(reason)
      assert.strictEqual(yield* rejected, reason)
      hold.open(undefined)
      yield* Effect.promise(() => holder)
      assert.deepStrictEqual(readRows(filename, "SELECT id FROM Machine WHERE id = 'm9'"), [])
    })
  )

  it.scopedLive("takes a waiting body back when its signal aborts", () =>
    Effect.gen(function* () {
      const { host } = yield* house()
      const hold = gate()
      const holder = host.withPermit(Lane.control, () => hold.promise)
      while (host.status().writer.holder === undefined) yield* turn
      const abort = new AbortController()
      let runs = 0
      const waiting = host.withPermit(Lane.control, async () => ++runs, { signal: abort.signal })
      const rejected = yield* Effect.fork(rejection(waiting))
      while (host.status().writer.lanes.every(({ waiterCount }) => waiterCount === 0)) yield* turn
      const reason = new Error("the client hung up")
      abort.abort(reason)
      assert.strictEqual(yield* rejected, reason)
      hold.open(undefined)
      yield* Effect.promise(() => holder)
      assert.strictEqual(runs, 0)
    })
  )

  it.scopedLive("aborts the signal of a body that runs, and keeps the permit until the body has settled", () =>
    Effect.gen(function* () {
      const { host } = yield* house()
      const abort = new AbortController()
      const rolledBack = gate()
      const aborted = gate()
      const events: Array<string> = []
      const running = host.withPermit(
        Lane.control,
        (signal) =>
          new Promise((_, reject) => {
            signal.addEventListener("abort", () => {
              events.push("aborted")
              aborted.open()
              void rolledBack.promise.then(() => {
                events.push("rolled back")
                reject(new Error("rolled back"))
              })
            })
          }),
        { signal: abort.signal }
      )
      const rejected = yield* Effect.fork(rejection(running))
      while (host.status().writer.holder === undefined) yield* turn
      abort.abort("enough")
      yield* Effect.promise(() => aborted.promise)
      const write = host.write(Lane.control, insert("m2")).then(() => events.push("written"))
      yield* turn
      assert.deepInclude(host.status().writer.holder, { lane: Lane.control })
      rolledBack.open()
      assert.strictEqual(yield* rejected, "enough")
      yield* Effect.promise(() => write)
      assert.deepStrictEqual(events, ["aborted", "rolled back", "written"])
    })
  )

  it.scopedLive("takes lanes of the host's own, as the writer does", () =>
    Effect.gen(function* () {
      const replication = Lane.make("replication")
      const terms = { ...WriterPolicy.defaults.lanes[0], lane: replication } as WriterPolicy.LanePolicy
      const policy = WriterPolicy.addLane(WriterPolicy.defaults, terms, Lane.presence)
      const { host } = yield* house({ policy })
      yield* Effect.promise(() => host.write(replication, insert("m2")))
      const error = yield* rejection(host.write(replication, insert("m2")))
      assert.deepInclude(error, { _tag: "WriteRejected", lane: replication })
      assert.deepStrictEqual(
        host.status().writer.lanes.map(({ lane }) => String(lane)),
        ["control", "data", "replication", "presence", "maintenance"]
      )
    })
  )

  it.scopedLive("measures a write, checkpoints, and passes options on to the connection", () =>
    Effect.gen(function* () {
      const { host } = yield* house({ freeReserveBytes: 0, openTimeout: "1 second", restartLimit: 2 })
      const measured = yield* Effect.promise(() => host.writeMeasured(Lane.control, insert("m2")))
      assert.deepInclude(measured, { attempts: 1, groupSize: 1 })
      assert.isAtLeast(measured.waitMillis + measured.holdMillis, 0)
      const { checkpointedFrames, logFrames } = yield* Effect.promise(() =>
        host.checkpoint(Lane.maintenance, "passive")
      )
      assert.deepStrictEqual([logFrames > 0, checkpointedFrames], [true, logFrames])
      const nested = host.withPermit(Lane.data, () => host.checkpoint(Lane.maintenance, "passive"))
      assert.deepInclude(yield* rejection(nested), { _tag: "NestedPermit", lane: Lane.maintenance, holder: Lane.data })
      const full = yield* house({ freeReserveBytes: 2 ** 60 })
      assert.instanceOf(yield* rejection(full.host.write(Lane.control, insert("m2"))), WriterError.DatabaseFull)
    })
  )

  it.scopedLive("is closed at the end of a block with await using", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase(tables)
      const start = PresenceHost.start({ filename, kinds, onLog: () => undefined })
      const block = async () => {
        await using host = await start
        host.beat(machine, Date.now())
        return host.status().state
      }
      assert.strictEqual(yield* Effect.promise(block), "open")
      const host = yield* Effect.promise(() => start)
      assert.strictEqual(host.status().state, "closed")
      assert.deepStrictEqual(readRows(filename, "SELECT active FROM Machine"), [{ active: 1 }])
    })
  )

  it.scopedLive("hands spans to the tracer of the layer below it", () =>
    Effect.gen(function* () {
      const names: Array<string> = []
      const inner = yield* Effect.tracer
      const tracer = Tracer.make({
        context: inner.context,
        span: (...args) => {
          names.push(args[0])
          return inner.span(...args)
        }
      })
      const { host } = yield* house({ layer: Layer.setTracer(tracer) })
      yield* Effect.promise(() => host.write(Lane.control, insert("m2")))
      assert.includeMembers(names, ["writer.write", "writer.wait", "writer.hold"])
    })
  )

  it.scopedLive("says when its connection has stopped for good", () =>
    Effect.gen(function* () {
      const { filename, host } = yield* house()
      const stopped = host.untilStopped()
      assert.deepInclude(host.status(), { state: "open", stopped: undefined })
      fs.copyFileSync(filename, `${filename}.copy`)
      fs.renameSync(`${filename}.copy`, filename)
      yield* rejection(host.write(Lane.control, insert("m2")))
      const fault = yield* Effect.promise(() => stopped)
      assert.deepInclude(fault, { reason: "Moved" })
      assert.deepInclude(host.status(), { state: "stopped", stopped: fault })
    })
  )

  describe("close", () => {
    it.scopedLive("tells the caller of a body that never settles, typed, and does not wait for it", () =>
      Effect.gen(function* () {
        const policy = WriterPolicy.withLane(WriterPolicy.defaults, Lane.maintenance, { holdLimit: "300 millis" })
        const short = policy.lanes.map((lane) => ({ ...lane, holdLimit: "300 millis" as const }))
        const { host } = yield* house({ policy: { ...policy, lanes: short }, wal: { drainTimeout: "10 millis" } })
        const entered = gate()
        const stuck = host.withPermit(Lane.control, () => {
          entered.open()
          return new Promise(() => undefined)
        })
        yield* Effect.promise(() => entered.promise)
        const rejected = yield* Effect.fork(rejection(stuck))
        yield* Effect.promise(() => host.close())
        assert.deepInclude(yield* rejected, { _tag: "WriteUnconfirmed" })
      })
    )

    it.scopedLive("may be called twice, and refuses writes from then on, typed", () =>
      Effect.gen(function* () {
        const { host } = yield* house()
        const first = host.close()
        assert.strictEqual(host.close(), first)
        yield* Effect.promise(() => first)
        assert.strictEqual(host.close(), first)
        assert.strictEqual(host.status().writer.state, "closed")
        assert.instanceOf(yield* rejection(host.write(Lane.control, insert("m2"))), WriterError.WriterClosed)
        assert.instanceOf(yield* rejection(host.withPermit(Lane.control, async () => 1)), WriterError.WriterClosed)
        assert.strictEqual(host.beat(machine, Date.now()), "closed")
        assert.strictEqual(host.connected(machine), "closed")
        assert.isUndefined(host.lastSeen(machine))
        yield* Effect.promise(() => host.end(machine, Date.now()))
      })
    )

    it.scopedLive("waits for a body that holds the permit", () =>
      Effect.gen(function* () {
        const { host } = yield* house({ wal: { drainTimeout: "10 millis" } })
        const hold = gate<string>()
        const entered = gate()
        const running = host.withPermit(Lane.maintenance, () => {
          entered.open()
          return hold.promise
        })
        yield* Effect.promise(() => entered.promise)
        const closing = host.close()
        while (host.status().writer.state === "open") yield* turn
        assert.strictEqual(host.status().writer.state, "draining")
        hold.open("done")
        assert.strictEqual(yield* Effect.promise(() => running), "done")
        yield* Effect.promise(() => closing)
      })
    )

    it.scopedLive("closes in time under a foreign lock and says what stayed unwritten", () =>
      Effect.gen(function* () {
        const { filename, host, lines } = yield* house({ presence: { drainTimeout: "100 millis" } })
        yield* ForeignLock.hold(filename)
        host.beat(machine, Date.now())
        const startedAt = Date.now()
        yield* Effect.promise(() => host.close())
        assert.isBelow(Date.now() - startedAt, 5_000)
        const line = lines.find(({ fields }) => fields["code"] === "PresenceUndrained")
        assert.deepInclude(line, { level: "warn", message: "1 presence rows stayed pending at shutdown" })
      })
    )
  })

  describe("start", () => {
    it.scopedLive("rejects typed when the file, the tables or an option is wrong", () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const filename = yield* temporaryDatabase(tables)
        const empty = yield* temporaryDatabase("CREATE TABLE Other (id)")
        const tag = (options: Partial<PresenceHost.HostOptions> & { readonly filename: string }) =>
          Effect.map(
            rejection(PresenceHost.start({ kinds, onLog: () => undefined, ...options })),
            (error) => (error as { readonly _tag?: unknown })._tag
          )
        assert.strictEqual(yield* tag({ filename: path.join(directory, "no", "file.sqlite") }), "EngineFault")
        assert.strictEqual(yield* tag({ filename: empty }), "StorageInvalid")
        assert.strictEqual(yield* tag({ filename, policy: { lanes: [], bypassLimit: 1 } }), "PolicyInvalid")
        assert.strictEqual(yield* tag({ filename, presence: { capacity: 0 } }), "ConfigInvalid")
        assert.strictEqual(yield* tag({ filename, kinds: {} }), "ConfigInvalid")
      })
    )
  })
})
