/** A command of the built server, run to its end as a process. */
import { Effect } from "effect"
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

/** A disk may keep a write longer than its deadline. What the command asks for may be asked for again. */
const isUnconfirmed = ({ code, stderr }: Outcome): boolean => code === 1 && stderr.includes("(WriteUnconfirmed)")

/** The JSON that the command prints. Dies when it fails. */
export const json = (
  words: ReadonlyArray<string>,
  place: { readonly directory?: string; readonly environment?: Record<string, string> } = {}
): Effect.Effect<any> =>
  run([...words, "--json"], place).pipe(
    Effect.tap((outcome) => (isUnconfirmed(outcome) ? Effect.sleep("2 seconds") : Effect.void)),
    Effect.repeat({ while: isUnconfirmed, times: 3 }),
    Effect.flatMap(({ code, stderr, stdout }) =>
      code === 0 ? Effect.sync(() => JSON.parse(stdout)) : Effect.dieMessage(`code ${code}: ${stderr}`)
    )
  )
