/** The report of an import, for people and for programs. */
import type { ImportReport } from "../adoption/DatabaseImport.ts"
import { aligned } from "./TextTable.ts"

const sum = (counts: Iterable<number>): number => Array.from(counts).reduce((total, count) => total + count, 0)

/** A table of counts and checksums, the skipped rows with reasons, and the tables that are not imported. */
export const toText = ({ databaseFile, ignored, tables }: ImportReport): string => {
  const rows = tables.map(({ checksum, readCount, skipped, table, writtenCount }) => [
    table,
    String(readCount),
    String(writtenCount),
    String(sum(skipped.values())),
    checksum
  ])
  const skipped = tables.flatMap(({ skipped, table }) =>
    Array.from(skipped, ([reason, count]) => `  ${table}: ${count} because ${reason}`)
  )
  const left = ignored.map(({ rowCount, table }) => `  ${table}: ${rowCount}`)
  return [
    ...aligned([["table", "read", "written", "skipped", "checksum of what was written"], ...rows], new Set([1, 2, 3])),
    ...(skipped.length === 0 ? [] : ["", "rows skipped", ...skipped]),
    ...(left.length === 0 ? [] : ["", "rows of tables this server does not have, left behind", ...left]),
    "",
    `imported into ${databaseFile}`,
    ""
  ].join("\n")
}

export const toJson = ({ databaseFile, ignored, tables }: ImportReport): string => {
  const plain = tables.map((table) => ({ ...table, skipped: Object.fromEntries(table.skipped) }))
  return `${JSON.stringify({ databaseFile, tables: plain, ignored }, undefined, 2)}\n`
}
