/** The crossing to a database server, over a connection of its own. */
import { Effect, type Scope } from "effect"
import { Client } from "pg"
import * as PostgresSchema from "../postgres/PostgresSchema.ts"
import { numberedText } from "../Statements.ts"
import { EngineFailed } from "./Engine.ts"
import type { Crossing } from "./FifoEngine.ts"

export const make = (url: string): Effect.Effect<Crossing, EngineFailed, Scope.Scope> => {
  const failed = (cause: unknown) => new EngineFailed({ detail: String(cause) })
  return Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        const client = new Client({ connectionString: url, application_name: PostgresSchema.nameOf(url) })
        // Its next statement fails, which says the same.
        client.on("error", () => undefined)
        await client.connect()
        return client
      },
      catch: failed
    }),
    (client) => Effect.promise(() => client.end().catch(() => undefined))
  ).pipe(
    Effect.map(
      (client): Crossing =>
        ({ params, sql }) =>
          Effect.async((resume) => {
            // Without parameters it is a simple query: both cross once.
            const sent = params.length === 0 ? client.query(sql) : client.query(numberedText(sql), [...params])
            sent.then(
              () => resume(Effect.void),
              (cause: unknown) => resume(Effect.fail(failed(cause)))
            )
          })
    )
  )
}
