/** The database under the contract: a file, or with `CONTRACT_DATABASE=postgres` a PostgreSQL server. */
import { Effect, type Scope } from "effect"
import { inject } from "vitest"
import type * as BuiltServer from "../drivers/BuiltServer.ts"
import * as ServerDatabase from "../drivers/ServerDatabase.ts"

declare module "vitest" {
  export interface ProvidedContext {
    /** `undefined`: no server could be started or found. The output says why. */
    readonly postgresUrl: string | undefined
  }
}

const isPostgres = process.env["CONTRACT_DATABASE"] === "postgres"

/** Where a server of the contract has its database. */
export const place: Effect.Effect<BuiltServer.Place, never, Scope.Scope> = Effect.suspend(() => {
  const url = isPostgres ? inject("postgresUrl") : undefined
  // Without a PostgreSQL the tests that need one are skipped.
  if (url === undefined) return Effect.succeed({})
  return Effect.map(ServerDatabase.ofPostgres(url), (database) => ({ database }))
})
