/** The questions of `setup`, on a terminal. */
import { Effect } from "effect"
import { createInterface } from "node:readline/promises"

export interface Question {
  readonly variable: string
  readonly text: string
  /** Taken for an empty answer; empty: the setting stays unset. */
  readonly fallback: string
}

export const questions: ReadonlyArray<Question> = [
  {
    variable: "PUBLIC_URL",
    text: "The address that phones and other machines use, such as https://box.example.org; empty: this machine only",
    fallback: ""
  },
  {
    variable: "HAPPIER_TRUSTED_PROXIES",
    text: "The proxy in front: loopback for one on this machine, otherwise its address; empty: none",
    fallback: ""
  },
  {
    variable: "AUTH_ANONYMOUS_SIGNUP_ENABLED",
    text: "Who may open an account: 1 (all that reach the server), first-account (only the first one), 0 (nobody)",
    fallback: "first-account"
  },
  {
    variable: "HAPPIER_BACKUP_DIR",
    text: "The directory of daily backups, best on another disk; empty: no backups",
    fallback: ""
  }
]

/** Asks what is not given, and answers with all that is set. A signal, or the end of the input, ends the questions. */
export const ask = (
  given: { readonly [variable: string]: string },
  input: NodeJS.ReadableStream,
  output: NodeJS.WritableStream
): Effect.Effect<{ readonly [variable: string]: string }> =>
  Effect.acquireUseRelease(
    Effect.sync(() => createInterface({ input, output })),
    (terminal) =>
      Effect.gen(function* () {
        const answers: Record<string, string> = { ...given }
        for (const { fallback, text, variable } of questions) {
          if (given[variable] !== undefined) continue
          const shown = fallback === "" ? text : `${text} [${fallback}]`
          const answer = yield* Effect.promise((signal) => terminal.question(`${shown}\n> `, { signal }))
          answers[variable] = answer.trim() === "" ? fallback : answer.trim()
        }
        return answers
      }),
    (terminal) => Effect.sync(() => terminal.close())
  )
