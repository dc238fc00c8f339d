import * as BoundedList from "../../src/database/BoundedList.ts"

/** The rows of a list as a client parses them. */
export const parsedRows = ({
  rows
}: Pick<BoundedList.BoundedList, "rows">): ReadonlyArray<{ readonly [name: string]: unknown }> =>
  JSON.parse(BoundedList.toJson("[", rows, "]").toString())
