/**
 * Every registration that a server acknowledged, to be looked up in its database later.
 */
import { Effect, Fiber, type Scope } from "effect"
import { randomUUID } from "node:crypto"
import type { Server } from "./BuiltServer.ts"
import type { Answer, Device, NoAnswer } from "./Device.ts"

export interface AckLog {
  /** Ids of the machines whose registration was answered with 200. */
  readonly acknowledged: ReadonlySet<string>
  /** Every answer, in order. */
  readonly answers: ReadonlyArray<Answer>
  /** Registers a machine, a new one by default. */
  readonly register: (device: Device, id?: string) => Effect.Effect<Answer, NoAnswer>
  /** Registers one new machine after the other until it is stopped; stopping waits for the answer to the last one. */
  readonly keepRegistering: (
    device: Device,
    pauseMillis: number
  ) => Effect.Effect<Effect.Effect<void>, never, Scope.Scope>
  /** Acknowledged machines that are not in the file. */
  readonly missing: (server: Server) => ReadonlyArray<string>
}

export const make = (): AckLog => {
  const acknowledged = new Set<string>()
  const answers: Array<Answer> = []
  const register: AckLog["register"] = (device, known) =>
    // Suspended, so that each run of the effect registers a machine of its own.
    Effect.suspend(() => {
      const id = known ?? randomUUID()
      return Effect.tap(device.post("/v1/machines", { id, metadata: `metadata of ${id}` }), (answer) =>
        Effect.sync(() => {
          answers.push(answer)
          if (answer.status === 200 && answer.body["machine"]?.id === id) acknowledged.add(id)
        })
      )
    })
  return {
    acknowledged,
    answers,
    register,
    keepRegistering: (device, pauseMillis) =>
      Effect.gen(function* () {
        let isOver = false
        const fiber = yield* register(device).pipe(
          // Without an answer nothing is guaranteed.
          Effect.ignore,
          Effect.zipRight(Effect.sleep(pauseMillis)),
          Effect.repeat({ until: () => isOver }),
          Effect.forkScoped
        )
        return Effect.suspend(() => {
          isOver = true
          return Effect.asVoid(Fiber.join(fiber))
        })
      }),
    missing: (server) => {
      const stored = new Map(server.rows("SELECT id, metadata FROM Machine").map(({ id, metadata }) => [id, metadata]))
      return [...acknowledged].filter((id) => stored.get(id) !== `metadata of ${id}`)
    }
  }
}

/** The slowest of the answers, and the middle one. */
export const latencies = (answers: ReadonlyArray<Answer>) => {
  const millis = answers.map((answer) => Math.round(answer.millis)).toSorted((a, b) => a - b)
  return { count: millis.length, p50: millis[millis.length >> 1] ?? 0, worst: millis.at(-1) ?? 0 }
}
