/**
 * T13: from the start of the process to the first machine.
 *
 * The built server is started on a directory that does not exist yet, and on one
 * with a file of 600 MB, made for this run and gone after it. The time ends when
 * the first registration is answered, the login before it included. The other
 * side is what Node itself needs to start and to end without doing anything.
 */
import Database from "better-sqlite3"
import { spawn } from "node:child_process"
import { once } from "node:events"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as Client from "../../drivers/AccountClient.ts"
import * as Daemon from "./support/Daemon.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const largeBytes = 600 * 1024 * 1024

const account = Client.make()

const millisToFirstMachine = async (directory?: string): Promise<number> => {
  const server = await ServerProcess.start(directory === undefined ? {} : { directory })
  const daemon = await Daemon.login(server.url, account)
  await daemon.register()
  const millis = performance.now() - server.spawnedAt
  await server.stop()
  return millis
}

const millisOfNode = async (): Promise<number> => {
  const began = performance.now()
  await once(spawn(process.execPath, ["-e", "0"]), "exit")
  return performance.now() - began
}

/** A directory whose file has the size of one that was used for long: messages of 4 KB in a few sessions. */
const makeLarge = async (): Promise<string> => {
  const { databaseFile, directory, stop, url } = await ServerProcess.start()
  const { accountId } = await Daemon.login(url, account)
  await stop()
  const [sessionId] = ServerProcess.seedSessions(directory, accountId, 10)
  const database = new Database(databaseFile)
  database.pragma("synchronous = OFF")
  const insert = database.prepare(`INSERT INTO SessionMessage
    (id, sessionId, seq, content, createdAt, updatedAt) VALUES (?, ?, ?, hex(randomblob(2000)), 0, 0)`)
  database.transaction(() => {
    const messageCount = largeBytes / 4_300
    for (let seq = 1; seq <= messageCount; seq++) insert.run(`message-${seq}`, sessionId, seq)
  })()
  database.pragma("wal_checkpoint(TRUNCATE)")
  database.close()
  return directory
}

export const question: Question = async (report) => {
  const large = await makeLarge()
  const { sides, ratio } = await Rounds.measure(5, {
    empty: () => millisToFirstMachine(),
    large: () => millisToFirstMachine(large),
    node: millisOfNode
  })
  for (const { id, side, limitMillis } of [
    { id: "T13@empty", side: "empty", limitMillis: 1_000 },
    { id: "T13@600MB", side: "large", limitMillis: 1_500 }
  ] as const) {
    report({
      id,
      ours: sides[side].median,
      theirs: sides.node.median,
      unit: "ms",
      ratio: ratio(side, "node"),
      target: `<= ${limitMillis / 1_000} s`,
      met: sides[side].median <= limitMillis,
      note: `${Rounds.spread(sides[side])} against ${Rounds.spread(sides.node)}`
    })
  }
}
