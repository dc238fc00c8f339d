import fs from "node:fs"

/** The cells of the table of a document whose head begins with `first`. */
export const table = (name: string, first: string): ReadonlyArray<ReadonlyArray<string>> => {
  const lines = fs.readFileSync(new URL(`../../../docs/${name}`, import.meta.url), "utf8").split("\n")
  const head = lines.findIndex((line) => line.startsWith(`| ${first} |`))
  const body = lines.slice(head + 2)
  const end = body.findIndex((line) => !line.startsWith("|"))
  return body.slice(0, end < 0 ? undefined : end).map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll("\\|", "|"))
  )
}

/** The words in backticks of a cell. */
export const codes = (cell: string | undefined): ReadonlyArray<string> =>
  Array.from((cell ?? "").matchAll(/`([^`]*)`/g), (match) => match[1] ?? "")
