/** `log-level`: what the running server logs. */
import { Effect } from "effect"
import * as AdminProtocol from "../admin/AdminProtocol.ts"
import type { LogLevelName } from "../LogLevels.ts"
import * as AskCommand from "./AskCommand.ts"

export interface Options {
  /** Shown, unless given. */
  readonly level: LogLevelName | undefined
  readonly isJson: boolean
}

const program = ({ isJson, level }: Options) =>
  Effect.gen(function* () {
    const path = "/v1/log-level"
    const answer = yield* AskCommand.ask(
      level === undefined ? { method: "GET", path } : { method: "PUT", path, body: { level } },
      AdminProtocol.LogLevel
    )
    yield* AskCommand.print(answer, isJson, (now) => `${now.level}\n`)
  })

export const run = (options: Options): void => AskCommand.run(program(options))
