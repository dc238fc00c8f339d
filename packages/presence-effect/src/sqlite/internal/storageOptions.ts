/** The options that every storage of presence has, of whatever database. */
import * as Duration from "effect/Duration"
import { type PresenceKinds, problemsOf } from "../../presence/PresenceKind.ts"
import type { Lane } from "../../writer/Lane.ts"
import type * as WriterPolicy from "../../writer/WriterPolicy.ts"
import * as tableNames from "./tableNames.ts"

interface Options {
  readonly kinds: PresenceKinds
  readonly chunkRows: number
  readonly chunkHold: Duration.DurationInput
  readonly lane: Lane
  readonly endLane: Lane
}

const unknownLanes = (options: Options, { lanes }: WriterPolicy.ResolvedPolicy): ReadonlyArray<string> =>
  (["lane", "endLane"] as const).flatMap((option) =>
    lanes.some(({ lane }) => lane === options[option])
      ? []
      : [
          `${option}: the policy of the writer has no lane ${options[option]}, only ` +
            lanes.map(({ lane }) => lane).join(", ")
        ]
  )

/** What is wrong with them, with a writer of this policy. */
export const problems = (options: Options, policy: WriterPolicy.ResolvedPolicy): ReadonlyArray<string> => {
  const found: Array<string> = [...problemsOf(options.kinds)]
  for (const [name, kind] of Object.entries(options.kinds)) {
    for (const [option, value] of tableNames.namedOptions(tableNames.tableNames(name, kind))) {
      if (tableNames.isName(value)) continue
      found.push(`${name}.${option} must be a name of 1 to 128 characters, got ${JSON.stringify(value)}`)
    }
  }
  if (!Number.isSafeInteger(options.chunkRows) || options.chunkRows < 1) {
    found.push(`chunkRows must be a whole number of at least 1, got ${options.chunkRows}`)
  }
  if (!(Duration.toMillis(options.chunkHold) > 0)) found.push("chunkHold must be above zero")
  return [...found, ...unknownLanes(options, policy)]
}
