/**
 * The configuration file: TOML with the names of the variables as keys.
 *
 *     PORT = 3005
 *     HAPPIER_CORS_ORIGINS = ["https://app.example.org"]
 */
import fs from "node:fs"

export interface ConfigFile {
  /** The text of each value, as it would be written in the environment. */
  readonly values: { readonly [name: string]: string }
  readonly problems: ReadonlyArray<string>
}

/** A file with every setting and a comment for each has 30 kB. */
const bytesMax = 1_048_576

/** A value as a variable of the environment holds it; `undefined` for what no setting can be. */
const textOf = (value: unknown): string | undefined => {
  if (typeof value === "string") return value
  if (typeof value === "boolean") return value ? "1" : "0"
  if (typeof value === "number" || typeof value === "bigint") return String(value)
  return Array.isArray(value) && value.every((item) => typeof item === "string") ? value.join(",") : undefined
}

const valuesOf = (path: string, table: { readonly [name: string]: unknown }): ConfigFile => {
  const problems: Array<string> = []
  const values = Object.entries(table).flatMap(([name, value]) => {
    const text = textOf(value)
    if (text === undefined) problems.push(`${path}: ${name} is not a text, a number, true, false or a list of texts`)
    return text === undefined ? [] : [[name, text]]
  })
  return { values: Object.fromEntries(values), problems }
}

const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/** The first line says what is wrong; the others draw it. */
const firstLine = (text: string): string => text.split("\n")[0] ?? ""

const placeOf = (cause: unknown): string =>
  cause instanceof Error && "line" in cause && "column" in cause ? `:${cause.line}:${cause.column}` : ""

/** Reads a file that exists. Every problem names the file, a syntax error also its line and column. */
export const read = async (path: string): Promise<ConfigFile> => {
  const failed = (problem: string): ConfigFile => ({ values: {}, problems: [problem] })
  let text: string
  try {
    if (fs.statSync(path).size > bytesMax) return failed(`${path} has more than ${bytesMax} bytes`)
    text = fs.readFileSync(path, "utf8")
  } catch (cause) {
    return failed(`${path} cannot be read: ${reasonOf(cause)}`)
  }
  // A server without a file does not load the parser.
  const { parse } = await import("smol-toml")
  try {
    return valuesOf(path, parse(text))
  } catch (cause) {
    return failed(`${path}${placeOf(cause)} cannot be read: ${firstLine(reasonOf(cause))}`)
  }
}
