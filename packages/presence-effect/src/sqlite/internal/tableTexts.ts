/** What the texts that create the tables of kinds have in common, whatever the database is. */
import * as PresenceKind from "../../presence/PresenceKind.ts"
import { StorageInvalid } from "../SqlitePresenceStorage.ts"
import { isName, namedOptions, type TableNames, tableNames } from "./tableNames.ts"

const problemsOf = (kinds: PresenceKind.PresenceKinds): ReadonlyArray<string> => [
  ...PresenceKind.problemsOf(kinds),
  ...Object.entries(kinds).flatMap(([name, kind]) =>
    namedOptions(tableNames(name, kind))
      .filter(([, given]) => !isName(given))
      .map(([option, given]) => `${name}.${option} cannot be quoted: ${JSON.stringify(given.slice(0, 64))}`)
  )
]

/** The columns that name a row together. */
export const keyOf = ({ accountId, id, isKeyedByAccount }: TableNames): ReadonlyArray<string> =>
  isKeyedByAccount && accountId !== undefined ? [accountId, id] : [id]

/** The texts of all kinds. Throws `StorageInvalid`. */
export const ddlOf = (
  kinds: PresenceKind.PresenceKinds,
  tableDdl: (name: string, kind: PresenceKind.PresenceKind) => string
): string => {
  const [problem, ...others] = problemsOf(kinds)
  if (problem !== undefined) throw new StorageInvalid({ problems: [problem, ...others] })
  return Object.entries(kinds)
    .map(([name, kind]) => tableDdl(name, kind))
    .join("\n")
}
