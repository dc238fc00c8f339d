/** F45: the server is told to give free space back to the file system while clients register machines. */
import Sqlite from "better-sqlite3"
import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import fs from "node:fs"
import * as Client from "../../drivers/AccountClient.ts"
import * as Device from "../../drivers/Device.ts"
import * as OperatorCommand from "../../drivers/OperatorCommand.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Registrations from "../support/Registrations.ts"
import * as Stage from "../support/Stage.ts"

const freeBytes = 80e6
const rowBytes = 100_000
const clientCount = 4
const pauseMillis = 100

/** Makes room in the file of a server that does not run. */
const fillAndEmpty = (file: string) =>
  Effect.sync(() => {
    const sqlite = new Sqlite(file)
    try {
      sqlite.exec("CREATE TABLE Ballast (body BLOB)")
      const insert = sqlite.prepare("INSERT INTO Ballast VALUES (zeroblob(?))")
      sqlite.transaction(() => {
        for (let left = freeBytes; left > 0; left -= rowBytes) insert.run(rowBytes)
      })()
      sqlite.exec("DROP TABLE Ballast")
      sqlite.pragma("wal_checkpoint(TRUNCATE)")
    } finally {
      sqlite.close()
    }
  })

/** Registers one machine after the other until it is interrupted. */
const registerOn = (device: Device.Device) =>
  Effect.suspend(() => device.post("/v1/machines", { id: randomUUID(), metadata: "m" })).pipe(
    Effect.zipRight(Effect.sleep(pauseMillis)),
    Effect.forever,
    Effect.ignore
  )

export const F45Compaction: Scenario = {
  id: "F45",
  title: "compaction under load",
  injected: `${freeBytes / 1e6} MB of the file are free and are given back while clients register machines`,
  promises: ["P6", "P10"],
  needs: [],
  isQuick: false,
  within: "3 minutes",
  run: () =>
    Effect.gen(function* () {
      const { server } = yield* Stage.open({ sessionCount: 1 })
      const file = server.databaseFile
      yield* server.end("SIGTERM")
      yield* fillAndEmpty(file)
      const fullBytes = fs.statSync(file).size
      yield* server.start
      const clients = yield* Effect.replicateEffect(Device.login(server.url, Client.make()), clientCount)
      yield* Effect.forEach(clients, (client) => Effect.forkScoped(registerOn(client)))
      const sizeBefore = fs.statSync(file).size
      const compact = OperatorCommand.run(["compact"], { directory: server.directory })
      const { answer, observations } = yield* Registrations.compared(server.url, compact)
      return [
        Observe.equal("exit code of the command", answer.code ?? "killed", 0),
        Observe.atLeast("size of the file before", Math.round(sizeBefore / 1e6), Math.round(freeBytes / 1e6)),
        ...observations,
        Observe.atMost(
          "size of the file afterwards",
          Math.round(fs.statSync(file).size / 1e6),
          Math.round(fullBytes / 2e6),
          "MB"
        ),
        Observe.equal(
          "integrity of the file",
          String(server.rows("PRAGMA integrity_check")[0]?.["integrity_check"]),
          "ok"
        )
      ]
    })
}
