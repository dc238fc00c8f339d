import { assert, it } from "@effect/vitest"
import { Clock, Context, Effect, Either, Fiber, Layer, TestClock } from "effect"
import { Lane, Presence, PresenceTables, SqliteWriter, Write } from "presence-effect"
import * as SimulatedDatabase from "presence-effect/testing/SimulatedDatabase"

class Devices extends Presence.Tag("my-test/Devices", { device: { table: "Device" } })<Devices>() {}

const now = Date.UTC(2027, 0, 1)
const insert = (id: string) => Write.statement("INSERT INTO Device (id) VALUES (?)", [id])

/** A database with nine devices, the writer and presence on it. They end with the test. */
const start = Effect.gen(function* () {
  yield* TestClock.setTime(now)
  const schema = PresenceTables.ddl(Devices.kinds)
  const database = yield* SimulatedDatabase.make({ schema, statementLatency: "80 millis" })
  for (let n = 1; n <= 9; n++) database.execute("INSERT INTO Device (id) VALUES (?)", [`device-${n}`])
  const layer = Presence.layerSqlite(Devices, { interval: "5 seconds" }).pipe(
    Layer.provideMerge(SqliteWriter.layer()),
    Layer.provide(database.layer)
  )
  const services = yield* Layer.build(layer)
  const devices = Context.get(services, Devices)
  const beatAll = (time: number) => {
    for (let n = 1; n <= 9; n++) devices.beat({ kind: "device", id: `device-${n}` }, time)
  }
  return { beatAll, database, devices, writer: Context.get(services, SqliteWriter.SqliteWriter) }
})

it.scoped("a registration waits for the statement of a running flush", () =>
  Effect.gen(function* () {
    const { beatAll, database, writer } = yield* start
    beatAll(now)
    yield* TestClock.adjust("5001 millis")
    const registration = writer.write(Lane.control, insert("device-10"))
    const answered = yield* Effect.fork(Effect.zipRight(registration, Clock.currentTimeMillis))
    yield* TestClock.adjust("1 second")
    // The flush has begun at 5 000 and ends at 5 080; the registration takes 80 ms of its own.
    assert.strictEqual((yield* Fiber.join(answered)) - now, 5_160)
    assert.deepStrictEqual(database.query("SELECT count(*) AS n FROM Device WHERE active = 1"), [{ n: 9 }])
  })
)

it.scoped("a lock of 30 s refuses a registration in time, and loses no heartbeat", () =>
  Effect.gen(function* () {
    const { beatAll, database, devices, writer } = yield* start
    database.engine.lock()
    const registration = yield* Effect.fork(Effect.either(writer.write(Lane.control, insert("device-10"))))
    beatAll(now)
    yield* TestClock.adjust("30 seconds")
    const refused = yield* Fiber.join(registration)
    assert.isTrue(Either.isLeft(refused) && refused.left.written === "nothing")
    assert.deepStrictEqual(database.engine.committed, [])

    database.engine.unlock()
    yield* TestClock.adjust("10 seconds")
    assert.deepStrictEqual(database.query("SELECT count(*) AS n FROM Device WHERE active = 1"), [{ n: 9 }])
    assert.deepInclude(yield* devices.status, { trackedCount: 9, pendingCount: 0, consecutiveFlushFailures: 0 })
  })
)
