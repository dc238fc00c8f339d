import { assert, it } from "@effect/vitest"
import { Clock, Context, Effect, Fiber, Layer, TestClock } from "effect"
import { Lane, Presence, PresenceTables, SqliteWriter, Write } from "presence-effect"
import * as SimulatedDatabase from "presence-effect/testing/SimulatedDatabase"

class Devices extends Presence.Tag("my-test/Devices", { device: { table: "Device" } })<Devices>() {}
const insert = "INSERT INTO Device (id) VALUES (?)"
const now = Date.UTC(2027, 0, 1)

it.scoped("a registration waits for one statement of a flush, not for nine", () =>
  Effect.gen(function* () {
    yield* TestClock.setTime(now)
    const schema = PresenceTables.ddl(Devices.kinds)
    const database = yield* SimulatedDatabase.make({ schema, statementLatency: "80 millis" })
    const layer = Presence.layerSqlite(Devices, { interval: "5 seconds" }).pipe(
      Layer.provideMerge(SqliteWriter.layer()),
      Layer.provide(database.layer)
    )
    const services = yield* Layer.build(layer)
    const devices = Context.get(services, Devices)
    const writer = Context.get(services, SqliteWriter.SqliteWriter)
    for (let n = 1; n <= 9; n++) {
      database.execute(insert, [`device-${n}`])
      devices.beat({ kind: "device", id: `device-${n}` }, now)
    }
    yield* TestClock.adjust("5001 millis") // the tick began 1 ms ago: one statement for nine devices
    const registration = writer.write(Lane.control, Write.statement(insert, ["device-10"]))
    const answered = yield* Effect.fork(Effect.zipRight(registration, Clock.currentTimeMillis))
    yield* TestClock.adjust("1 second")
    assert.strictEqual((yield* Fiber.join(answered)) - now, 5_160) // 79 ms of the flush later, and 80 ms of its own
    assert.deepStrictEqual(database.query("SELECT count(*) AS n FROM Device WHERE active = 1"), [{ n: 9 }])
  })
)
