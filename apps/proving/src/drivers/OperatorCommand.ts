/** A command of the built server, run to its end as a process. */
import { Effect } from "effect"
import * as Eventually from "./Eventually.ts"
import * as ServerProcess from "./ServerProcess.ts"

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** With the data directory of the server it is about, or a new one. */
export const run = (
  words: ReadonlyArray<string>,
  place: { readonly directory?: string; readonly environment?: Record<string, string> } = {}
): Effect.Effect<Outcome> =>
  Effect.scoped(
    Effect.gen(function* () {
      const child = yield* ServerProcess.start({ ...place, arguments: words })
      const code = yield* child.exitCode
      return { code, ...child.output() }
    })
  )

const isUnconfirmed = ({ code, stderr }: Outcome): boolean => code === 1 && stderr.includes("(WriteUnconfirmed)")

/** The JSON that the command prints. Dies when it fails. */
export const json = (
  words: ReadonlyArray<string>,
  place: { readonly directory?: string; readonly environment?: Record<string, string> } = {}
): Effect.Effect<any> =>
  run([...words, "--json"], place).pipe(
    Eventually.whilePassing(isUnconfirmed),
    Effect.flatMap(({ code, stderr, stdout }) =>
      code === 0 ? Effect.sync(() => JSON.parse(stdout)) : Effect.dieMessage(`code ${code}: ${stderr}`)
    )
  )
