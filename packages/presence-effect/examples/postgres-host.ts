/**
 * Presence and writes on a PostgreSQL that the host has: the tables, a registration and a heartbeat.
 */
import { Effect, Layer } from "effect"
import { Client } from "pg"
import { Lane, Presence, Write, Writer } from "presence-effect"
import * as PostgresEngine from "presence-effect/postgres/PostgresEngine"
import * as PostgresPresenceStorage from "presence-effect/postgres/PostgresPresenceStorage"
import * as PostgresReader from "presence-effect/postgres/PostgresReader"
import * as PostgresTables from "presence-effect/postgres/PostgresTables"

class Devices extends Presence.Tag("my-server/Devices", {
  device: { table: "Device", accountId: "accountId" }
})<Devices>() {}

const servicesOf = (url: string) =>
  Presence.layer(Devices).pipe(
    Layer.provide(PostgresPresenceStorage.layer({ kinds: Devices.kinds })),
    // Reads have connections of their own, which cannot write.
    Layer.provide(PostgresReader.layer({ url, connections: 2 })),
    Layer.provideMerge(Writer.layer()),
    // Four groups of writes at once. One connection is kept for the lane that is served first.
    Layer.provide(PostgresEngine.layer({ url, connections: 4 }))
  )

const register = (accountId: string, id: string) =>
  Write.statement(`INSERT INTO "Device" (id, "accountId") VALUES ($1, $2)`, [id, accountId], { changes: 1 }).pipe(
    // Writes of one account run in one order, also when two groups run side by side.
    Write.withLock(accountId)
  )

export const run = async (url: string): Promise<unknown> => {
  // A real server runs its migrations here.
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query(PostgresTables.ddl(Devices.kinds))
  const program = Effect.gen(function* () {
    const writer = yield* Writer.Writer
    const devices = yield* Devices
    yield* writer.write(Lane.control, register("ann", "phone"))
    devices.beat({ kind: "device", accountId: "ann", id: "phone" }, Date.now())
    // A second phone with the same id is refused by the database, with the kind of constraint.
    return yield* writer.write(Lane.control, register("ann", "phone")).pipe(
      Effect.as("registered twice"),
      Effect.catchTag("WriteRejected", ({ constraint }) => Effect.succeed(constraint))
    )
  })
  const refusal = await Effect.runPromise(Effect.provide(program, servicesOf(url)))
  const { rows } = await client.query(`SELECT id, active FROM "Device"`)
  await client.end()
  return { refusal, rows }
}
