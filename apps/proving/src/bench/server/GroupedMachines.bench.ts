/**
 * T16: registrations that survive a power cut, 64 in flight.
 *
 * The very write with which the server registers a new machine, into the file of
 * a server. On one side the writes that wait behind each other share a commit, on
 * the other each has its own. The note says how many the server takes over HTTP,
 * where tokens, JSON and one event loop cost more than the commits do.
 */
import * as Effect from "effect/Effect"
import type { Machine } from "light-server/src/machines/Machine"
import * as MachineStore from "light-server/src/machines/MachineStore"
import * as Lane from "presence-effect/writer/Lane"
import * as WriterPolicy from "presence-effect/writer/WriterPolicy"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as ControlWrite from "../library/support/ControlWrite.ts"
import * as Stack from "../library/support/Stack.ts"
import * as Daemon from "./support/Daemon.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const callerCount = 64
const sampleMillis = 500
const httpMillis = 3_000

const alone = WriterPolicy.withLane(ControlWrite.patient, Lane.control, { groupLimit: 1 })

let machineCount = 0

const newMachine = (accountId: string): Machine => {
  const now = Date.now()
  return {
    id: `bench-machine-${++machineCount}`,
    accountId,
    metadata: "metadata of a machine",
    metadataVersion: 1,
    daemonState: null,
    daemonStateVersion: 0,
    dataEncryptionKey: null,
    seq: 0,
    active: true,
    lastActiveAt: now,
    createdAt: now,
    updatedAt: now,
    revokedAt: null
  }
}

interface Side extends Stack.WriterStack {
  readonly accountId: string
}

/** A file as a server makes it, with an account. */
const open = async (policy: WriterPolicy.WriterPolicy): Promise<Side> => {
  const server = await ServerProcess.start()
  const { accountId } = await Daemon.login(server.url)
  await server.stop()
  const stack = await Stack.openWriter({ filename: server.databaseFile, place: "thread", policy })
  return { ...stack, accountId }
}

const registrationsPerSecond = async ({ accountId, writer }: Side): Promise<number> => {
  const began = performance.now()
  let count = 0
  const caller = Effect.gen(function* () {
    while (performance.now() - began < sampleMillis) {
      yield* writer.write(Lane.control, MachineStore.insertWrite(newMachine(accountId)))
      count++
    }
  })
  const callers = Array.from({ length: callerCount }, () => caller)
  await Effect.runPromise(Effect.all(callers, { concurrency: "unbounded", discard: true }))
  const perSecond = (count * 1_000) / (performance.now() - began)
  await Effect.runPromise(writer.checkpoint(Lane.maintenance, "passive"))
  return perSecond
}

const overHttp = async (): Promise<number> => {
  const server = await ServerProcess.start()
  const { register } = await Daemon.login(server.url)
  const began = performance.now()
  let count = 0
  const caller = async () => {
    while (performance.now() - began < httpMillis) {
      await register()
      count++
    }
  }
  await Promise.all(Array.from({ length: callerCount }, caller))
  const perSecond = (count * 1_000) / (performance.now() - began)
  await server.stop()
  return perSecond
}

export const question: Question = async (report) => {
  const grouped = await open(ControlWrite.patient)
  const single = await open(alone)
  const { ratio, sides } = await Rounds.measure(7, {
    ours: () => registrationsPerSecond(grouped),
    single: () => registrationsPerSecond(single)
  })
  const http = await overHttp()
  report({
    id: `T16@${callerCount}`,
    ours: sides.ours.median,
    theirs: sides.single.median,
    unit: "machines/s",
    ratio: ratio("ours", "single"),
    target: "ratio >= 8",
    met: ratio("ours", "single") >= 8,
    note: `${Rounds.spread(sides.ours)} against ${Rounds.spread(sides.single)}; ${Rounds.digits(http)}/s over HTTP`
  })
  await grouped.close()
  await single.close()
}
