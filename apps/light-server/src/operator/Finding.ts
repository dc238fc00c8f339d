/** What a check of the doctor found. */
import { Effect } from "effect"

/** `problem`: clients notice, or will. `warning`: something is at risk. `skipped`: it could not be checked. */
export type Level = "ok" | "warning" | "problem" | "skipped"

export interface Finding {
  /** Stays the same over versions: `D104`. */
  readonly code: string
  readonly check: string
  readonly level: Level
  /** What is there. */
  readonly found: string
  /** Why that matters. Empty for `ok`. */
  readonly cause: string
  /** What to do. Empty for `ok`. */
  readonly fix: string
  /** Does it. Absent where an operator has to decide. */
  readonly repair?: Effect.Effect<void, string>
}

/** A check that finds something wrong, or answers with what is there. */
export interface Check {
  readonly code: string
  readonly name: string
}

export const ok = ({ code, name }: Check, found: string): Finding => ({
  code,
  check: name,
  level: "ok",
  found,
  cause: "",
  fix: ""
})

export const skipped = (check: Check, found: string): Finding => ({ ...ok(check, found), level: "skipped" })

interface Complaint extends Pick<Finding, "found" | "cause" | "fix"> {
  readonly repair?: () => void
}

const complaint =
  (level: Level) =>
  ({ code, name }: Check, { repair, ...rest }: Complaint): Finding => ({
    code,
    check: name,
    level,
    ...rest,
    ...(repair === undefined
      ? {}
      : {
          repair: Effect.try({
            try: repair,
            catch: (cause) => (cause instanceof Error ? cause.message : String(cause))
          })
        })
  })

export const warning = complaint("warning")
export const problem = complaint("problem")
