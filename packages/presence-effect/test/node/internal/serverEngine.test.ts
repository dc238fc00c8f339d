/** The engine of servers over a driver in memory: what no real server can be made to do at the right moment. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as ServerEngine from "../../../src/node/internal/serverEngine.ts"
import type { Driver, Outcome } from "../../../src/node/internal/serverSession.ts"
import type { FaultReason } from "../../../src/writer/Engine.ts"

const write = [{ sql: "INSERT", params: [], changes: "any" as const }]
const done: Outcome = { _tag: "Done", result: { rows: [], changes: 1 } }

/** A server whose commands fail for the reason that `script` says. Its connections never notice that they are dead. */
const makeDriver = (script: Map<string, FaultReason>) => {
  const log: Array<string> = []
  let connections = 0
  const driver: Driver = {
    connect: async () => {
      const name = ++connections
      let isAlive = true
      return {
        run: async (commands) => {
          const outcomes: Array<Outcome> = []
          for (const { sql } of commands) {
            log.push(`${name} ${sql}`)
            const reason = script.get(sql)
            outcomes.push(reason === undefined ? done : { _tag: "Failed", cause: reason })
            if (reason !== undefined) break
          }
          return outcomes
        },
        isAlive: () => isAlive,
        close: async () => void log.push(`${name} closed`),
        destroy: () => {
          isAlive = false
          log.push(`${name} destroyed`)
        }
      }
    },
    begin: () => [{ sql: "BEGIN" }],
    faultOf: (cause, phase) => ({ reason: cause as FaultReason, code: String(cause), detail: "", phase }),
    endsTransaction: () => false,
    steers: () => false
  }
  return { driver, log }
}

const faultOf = (script: ReadonlyArray<readonly [sql: string, reason: FaultReason]>) =>
  Effect.gen(function* () {
    const reasons = new Map(script)
    const { driver, log } = makeDriver(reasons)
    const engine = yield* ServerEngine.make(driver, 2)
    const fault = yield* Effect.flip(engine.run([write, write], "power-loss"))
    reasons.clear()
    log.push("again")
    yield* engine.run([write], "power-loss")
    return { phase: fault.phase, reason: fault.reason, log }
  })

describe("the engine of a server", () => {
  it.scoped("takes no connection again that was lost, or that leads to a server that is only read", () =>
    Effect.gen(function* () {
      for (const { phase, reason, sql } of [
        { sql: "INSERT", reason: "Lost", phase: "queued" },
        { sql: "COMMIT", reason: "Lost", phase: "commit" },
        { sql: "BEGIN", reason: "Readonly", phase: "begin" }
      ] as const) {
        const { log, ...fault } = yield* faultOf([[sql, reason]])
        assert.deepStrictEqual(fault, { reason, phase })
        assert.deepStrictEqual(log.slice(log.indexOf("again")), ["again", "2 BEGIN", "2 INSERT", "2 COMMIT"])
        assert.include(log, "1 destroyed")
      }
    })
  )

  it.scoped("rolls back and keeps the connection after any other failure of the whole", () =>
    Effect.gen(function* () {
      const { log, ...fault } = yield* faultOf([["INSERT", "Full"]])
      assert.deepStrictEqual(fault, { reason: "Full", phase: "statement" })
      assert.deepStrictEqual(log.slice(-5), ["1 ROLLBACK", "again", "1 BEGIN", "1 INSERT", "1 COMMIT"])
    })
  )

  it.scoped("knows that nothing is written when the server answers a commit with a refusal", () =>
    Effect.gen(function* () {
      const { log, ...fault } = yield* faultOf([["COMMIT", "Busy"]])
      assert.deepStrictEqual(fault, { reason: "Busy", phase: "commit" })
      assert.deepStrictEqual(log.slice(-5), ["1 ROLLBACK", "again", "1 BEGIN", "1 INSERT", "1 COMMIT"])
    })
  )

  it.scoped("gives a connection up that cannot even be rolled back", () =>
    Effect.gen(function* () {
      const { log } = yield* faultOf([
        ["INSERT", "System"],
        ["ROLLBACK", "System"]
      ])
      assert.deepStrictEqual(log.slice(-5), ["1 destroyed", "again", "2 BEGIN", "2 INSERT", "2 COMMIT"])
    })
  )

  it.scoped(
    "says of each write of a group what became of it when its commit is refused and the connection then lost",
    () =>
      Effect.gen(function* () {
        const script = new Map<string, FaultReason>([["COMMIT", "Rejected"]])
        const { driver } = makeDriver(script)
        // Alone, the first write is committed, and the connection is lost with the statement of the second.
        const scripted: Driver = {
          ...driver,
          faultOf: (cause, phase) => {
            if (cause === "Rejected") script.delete("COMMIT")
            if (cause === "Rejected") script.set("SECOND", "Lost")
            return driver.faultOf(cause, phase)
          }
        }
        const engine = yield* ServerEngine.make(scripted, 2)
        const second = [{ sql: "SECOND", params: [], changes: "any" as const }]
        const answers = yield* engine.run([write, second], "power-loss")
        assert.strictEqual(answers[0]?._tag, "Done")
        assert.deepInclude(answers[1]?._tag === "Failed" ? answers[1].fault : {}, { reason: "Lost", phase: "queued" })
      })
  )
})
