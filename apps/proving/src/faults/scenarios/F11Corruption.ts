/** F11: pages of the file are garbage. */
import Sqlite from "better-sqlite3"
import { Effect, Option } from "effect"
import { createHash } from "node:crypto"
import fs from "node:fs"
import * as Client from "../../drivers/AccountClient.ts"
import * as BuiltServer from "../../drivers/BuiltServer.ts"
import * as AckLog from "../../drivers/AckLog.ts"
import * as Device from "../../drivers/Device.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Stage from "../support/Stage.ts"

const overwrite = (file: string, position: number, length: number) => {
  const descriptor = fs.openSync(file, "r+")
  fs.writeSync(descriptor, Buffer.alloc(length, 0xa5), 0, length, position)
  fs.closeSync(descriptor)
}

/** The first page of a table, where every access to it begins. */
const rootOf = (file: string, table: string) => {
  const sqlite = new Sqlite(file, { readonly: true })
  try {
    const page = Number(sqlite.prepare("SELECT rootpage FROM sqlite_master WHERE name = ?").pluck().get(table))
    const bytes = Number(sqlite.pragma("page_size", { simple: true }))
    return { position: (page - 1) * bytes, bytes }
  } finally {
    sqlite.close()
  }
}

const digest = (file: string) => createHash("sha256").update(fs.readFileSync(file)).digest("hex")

/** A table that was not read yet is damaged under the server; the first write into it finds the damage. */
const damagedTable = Effect.gen(function* () {
  const server = yield* BuiltServer.start(Stage.environment)
  const keys = Client.make()
  const sessionId = yield* Device.openSession(yield* Device.login(server.url, keys), "tag")
  // So that the page is in the database file and in no memory.
  yield* server.end("SIGTERM")
  yield* server.start
  const device = yield* Device.login(server.url, keys)
  const line = yield* device.connect({ clientType: "session-scoped", sessionId })
  const { bytes, position } = rootOf(server.databaseFile, "SessionMessage")
  overwrite(server.databaseFile, position, bytes)

  const ack = yield* Effect.option(
    Effect.timeout(line.ask("message", { sid: sessionId, message: "text", localId: "one" }), 5000)
  )
  const first = yield* Effect.option(device.post("/v1/machines", { id: "after", metadata: "m" }))
  const readiness = yield* Stage.readiness(server)
  const before = digest(server.databaseFile)
  yield* Effect.ignore(AckLog.make().register(device))
  yield* Effect.sleep(2 * Stage.tickMillis)
  const isUntouched = digest(server.databaseFile) === before
  yield* server.end("SIGKILL")
  yield* server.launch
  const { code } = yield* server.ended
  return [
    Observe.yes("the message is not stored", Option.isNone(ack) || ack.value?.ok === false, JSON.stringify(ack)),
    Observe.yes(
      "a registration afterwards is refused",
      Option.isNone(first) || first.value.body["code"] === "DatabaseCorrupt",
      JSON.stringify(first)
    ),
    Observe.yes("it is not ready, or has ended", readiness !== 200),
    Observe.yes("nothing is written any more", isUntouched),
    Observe.equal("the next start: exit code", code ?? -1, 4),
    Observe.yes("it reports that the file is damaged", /damaged/.test(server.output()), server.output().slice(-300)),
    Observe.yes("the file is as it was", digest(server.databaseFile) === before)
  ]
})

/** An invalid header. */
const damagedHeader = Effect.gen(function* () {
  const server = yield* BuiltServer.start()
  yield* server.end("SIGTERM")
  overwrite(server.databaseFile, 0, 16)
  const before = digest(server.databaseFile)
  yield* server.launch
  const { code } = yield* server.ended
  return [
    Observe.equal("start on a file without a header: exit code", code ?? -1, 4),
    Observe.yes(
      "it reports that this is not a database",
      /not a database/.test(server.output()),
      server.output().slice(-300)
    ),
    Observe.yes("the file is as it was", digest(server.databaseFile) === before)
  ]
})

export const F11Corruption: Scenario = {
  id: "F11",
  title: "the file is damaged",
  injected: "the first page of a table is overwritten; on another file, the header",
  promises: ["P1", "P7", "P15", "P17"],
  needs: [],
  isQuick: false,
  within: "60 seconds",
  run: () => Effect.map(Effect.all([damagedTable, damagedHeader]), (observations) => observations.flat())
}
