/**
 * An app that receives which rows go offline, and a reader of the file all the
 * time.
 */
import { Effect, Schedule } from "effect"
import type { Stage } from "./Stage.ts"

/** Watches the sessions of a stage until the scope closes. */
export const make = ({ device, server, sessionIds }: Stage) =>
  Effect.gen(function* () {
    const app = yield* device.connect({ clientType: "user-scoped" })
    const newest = new Map<string, number>()
    const backwards: Array<string> = []
    const inactive: Array<string> = []
    const look = Effect.sync(() => {
      for (const row of server.rows("SELECT id, active, lastActiveAt FROM Session")) {
        const id = String(row["id"])
        const time = Number(row["lastActiveAt"])
        const before = newest.get(id) ?? 0
        if (time < before) backwards.push(`${id}: ${time} after ${before}`)
        if (before > 0 && row["active"] !== 1) inactive.push(id)
        newest.set(id, Math.max(before, time))
      }
    })
    yield* Effect.forkScoped(Effect.repeat(look, Schedule.spaced("100 millis")))
    return {
      app,
      /** Rows that are offline for an app or in the file. */
      offline: () => [
        ...app.heard
          .filter(
            ({ event, payload }) => event === "ephemeral" && payload.active === false && sessionIds.includes(payload.id)
          )
          .map(({ payload }) => `told of ${payload.id}`),
        ...inactive.map((id) => `read of ${id}`)
      ],
      /** Times in the file that became older. */
      backwards: () => backwards,
      /** The newest time that the file had. */
      newest: () => Math.max(0, ...newest.values())
    }
  })
