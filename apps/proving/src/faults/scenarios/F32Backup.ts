/** F32: backups under load, killed in the middle, and onto a disk that is too small; and what they restore to. */
import Sqlite from "better-sqlite3"
import { Duration, Effect, Random } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as BuiltServer from "../../drivers/BuiltServer.ts"
import * as OperatorCommand from "../../drivers/OperatorCommand.ts"
import * as ServerProcess from "../../drivers/ServerProcess.ts"
import * as TemporaryDirectory from "../../drivers/TemporaryDirectory.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import type * as AckFile from "../support/AckFile.ts"
import * as Auditor from "../support/Auditor.ts"
import * as Mount from "../support/Mount.ts"
import * as Registrations from "../support/Registrations.ts"
import * as Stage from "../support/Stage.ts"

const ballastMebibytes = 48

/** Rows of an account nobody asks for, so that a backup takes a while. */
const addBallast = (file: string) => {
  const sqlite = new Sqlite(file, { timeout: 10_000 })
  try {
    sqlite.exec("CREATE TABLE Ballast (body BLOB NOT NULL)")
    const insert = sqlite.prepare("INSERT INTO Ballast VALUES (randomblob(65536))")
    sqlite.transaction(() => {
      for (let row = 0; row < ballastMebibytes * 16; row++) insert.run()
    })()
  } finally {
    sqlite.close()
  }
}

const backupsIn = (directory: string): ReadonlyArray<string> =>
  fs.existsSync(directory) ? fs.readdirSync(directory).filter((name) => name.endsWith(".sqlite")) : []

/** Starts a backup and kills it after a while. True when it had not ended by then. */
const killOne = (server: BuiltServer.Server, to: string, afterMillis: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const words = ["backup", "--to", to]
      const child = yield* ServerProcess.start({ directory: server.directory, arguments: words })
      const ended = yield* Effect.timeoutOption(child.exitCode, afterMillis)
      yield* child.kill("SIGKILL")
      yield* child.exitCode
      return ended._tag === "None"
    })
  )

/** Kills backups at random moments, and answers with how many were killed and what is wrong with what they left. */
const killSome = (server: BuiltServer.Server, count: number, millis: number) =>
  Effect.gen(function* () {
    const to = path.join(yield* TemporaryDirectory.make, "killed")
    const place = { directory: server.directory }
    let killedCount = 0
    for (let round = 0; round < count; round++) {
      if (yield* killOne(server, to, yield* Random.nextIntBetween(200, Math.max(400, millis)))) killedCount += 1
    }
    const unsound = yield* Effect.filter(backupsIn(to), (name) =>
      Effect.map(OperatorCommand.run(["backup", "--verify", path.join(to, name)], place), ({ code }) => code !== 0)
    )
    // The next one is not hindered, and tidies up.
    const next = yield* OperatorCommand.run(["backup", "--to", to], place)
    const left = fs.readdirSync(to).filter((name) => name.includes(".partial"))
    return { killedCount, unsound, nextCode: next.code, left }
  })

/** What a restored backup lacks of what was acknowledged before it began, and holds twice or with gaps. */
const audit = (restored: BuiltServer.Server, entries: ReadonlyArray<AckFile.Entry>, beganAt: number) => {
  const acknowledged = entries.filter(
    (entry) => (entry.kind === "registration" || entry.kind === "message") && entry.due + entry.millis < beganAt
  )
  return Auditor.audit(restored, acknowledged)
}

/** A backup onto a disk that has no room for it. */
const ontoSmallDisk = (server: BuiltServer.Server) =>
  Effect.gen(function* () {
    const disk = yield* Mount.tmpfs(ballastMebibytes / 2)
    const { code } = yield* OperatorCommand.run(["backup", "--to", disk], { directory: server.directory })
    return { code, left: fs.readdirSync(disk) }
  })

export const F32Backup: Scenario = {
  id: "F32",
  title: "backups under load, killed, and onto a full disk",
  injected:
    `three backups of ${ballastMebibytes} MiB under load, five that are killed at random moments, ` +
    "one onto a disk of half the size; the last good one is restored and served",
  promises: ["P1", "P6", "P19"],
  needs: ["root", "tmpfs"],
  isQuick: false,
  within: "4 minutes",
  run: ({ seed }) =>
    Effect.gen(function* () {
      const stage = yield* Stage.open()
      const { server } = stage
      addBallast(server.databaseFile)
      const place = { directory: server.directory }
      const load = yield* stage.load({ registrationsPerSecond: 10, messagesPerSecond: 20 })
      yield* Effect.sleep(2000)

      const to = path.join(yield* TemporaryDirectory.make, "backups")
      const one = Effect.timed(OperatorCommand.json(["backup", "--to", to, "--keep", "2"], place))
      let beganAt = 0
      const three = Effect.repeatN(
        Effect.zipRight(
          Effect.sync(() => (beganAt = Date.now())),
          one
        ),
        2
      )
      const { answer, observations } = yield* Registrations.compared(server.url, three)
      const [duration] = answer
      const millis = Duration.toMillis(duration)
      const killed = yield* Effect.withRandom(killSome(server, 5, millis), Random.make(seed))
      const small = yield* ontoSmallDisk(server)
      yield* Effect.sleep(1000)
      yield* load.stop
      const entries = load.entries()
      const whole = Auditor.audit(server, entries)

      const directory = path.join(yield* TemporaryDirectory.make, "restored")
      const restore = yield* OperatorCommand.run(["restore", "--from", to], { directory })
      const restored = yield* BuiltServer.make(Stage.environment, { directory })
      const found = audit(restored, entries, beganAt)
      yield* restored.start
      const readiness = yield* Stage.readiness(restored)

      return [
        ...observations,
        Observe.figure("a backup took", `${Math.round(millis)} ms`),
        Observe.equal("backups that were kept", backupsIn(to).length, 2),
        Observe.atLeast("backups that were killed", killed.killedCount, 1),
        Observe.none("of those with the name of a backup, unsound", killed.unsound),
        Observe.equal("the next backup", killed.nextCode ?? "killed", 0),
        Observe.none("files that killed backups left, after it", killed.left),
        Observe.equal("a backup onto a disk that is too small", small.code ?? "killed", 4),
        Observe.none("what it left", small.left),
        Observe.none("acknowledged by the server and lost", whole.lost),
        Observe.equal("the restore", restore.code ?? "killed", 0),
        Observe.atLeast("acknowledged before the backup", found.acknowledgedCount, 20),
        Observe.none("of those, not in the restored database", found.lost),
        Observe.none("torn in the restored database", found.torn),
        Observe.equal("integrity of the restored database", found.integrity, "ok"),
        Observe.equal("readiness of a server on it", readiness, 200)
      ]
    })
}
