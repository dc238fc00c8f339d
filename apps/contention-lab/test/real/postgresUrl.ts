/** A database of the run, which the global setup of the project provides. */
import { inject } from "vitest"

declare module "vitest" {
  export interface ProvidedContext {
    readonly postgresUrl: string | undefined
  }
}

/** `undefined`: there is no PostgreSQL, so nothing can be tested with it. */
export const postgresUrl = inject("postgresUrl")
