/** The lowest level that is logged, which can be changed while the server runs. */
import { Context, type Effect } from "effect"
import type { LogLevelName } from "../LogLevels.ts"

export class LogThreshold extends Context.Tag("light-server/LogThreshold")<
  LogThreshold,
  {
    readonly get: Effect.Effect<LogLevelName>
    /** Applies to the next line. The level of the configuration is back after a restart. */
    readonly set: (level: LogLevelName) => Effect.Effect<void>
  }
>() {}
