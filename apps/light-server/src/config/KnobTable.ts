/** The settings of all rooms as the table of `docs/operations.md`. */
import type { Knob } from "../ConfigKnob.ts"
import type { Rooms } from "./Environment.ts"

export const knobsOf = (rooms: Rooms): ReadonlyArray<Knob<unknown>> =>
  Object.values(rooms).flatMap((table) => Object.values(table))

const code = (text: string) => (text === "" ? "" : `\`${text}\``)

const row = (cells: ReadonlyArray<string>) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`

const head = [row(["Variable", "Default", "Allowed", "Meaning"]), row(Array<string>(4).fill("---"))]

const lineOf = ({ aliases, allowed, fallbackText, meaning, name }: Knob<unknown>) =>
  row([[name, ...aliases].map(code).join(", "), code(fallbackText), allowed, meaning])

export const render = (rooms: Rooms): string => [...head, ...knobsOf(rooms).map(lineOf)].join("\n")

/** Puts the table in the place of the one that a document has. */
export const replaceIn = (document: string, table: string): string => {
  const lines = document.split("\n")
  const start = lines.findIndex((line) => line.startsWith("| Variable |"))
  if (start < 0) return document
  const length = lines.slice(start).findIndex((line) => !line.startsWith("|"))
  return lines.toSpliced(start, length < 0 ? lines.length - start : length, table).join("\n")
}
