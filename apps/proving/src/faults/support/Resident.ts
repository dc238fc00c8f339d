/**
 * What the operating system reports about a process.
 */
import { Effect } from "effect"
import fs from "node:fs"
import type { Server } from "../../drivers/BuiltServer.ts"

/** Memory that is really there, in MiB. */
export const mebibytes = (server: Server): Effect.Effect<number> =>
  Effect.map(server.pid, (pid) => {
    const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
    return Math.round(Number(kibibytes) / 1024)
  })

/** The most that it was while an effect ran. */
export const peakDuring = <A, E, R>(server: Server, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const before = yield* mebibytes(server)
    let peak = before
    const watch = mebibytes(server).pipe(
      Effect.map((now) => (peak = Math.max(peak, now))),
      Effect.delay("100 millis"),
      Effect.forever
    )
    const answer = yield* Effect.raceFirst(effect, watch)
    return { answer, before, peak }
  })

/** Open descriptors. */
export const descriptorCount = (server: Server): Effect.Effect<number> =>
  Effect.map(server.pid, (pid) => fs.readdirSync(`/proc/${pid}/fd`).length)
