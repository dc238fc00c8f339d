/** Why a PostgreSQL database cannot be used. The messages name the server and the database, never the password. */
import { Schema } from "effect"

const fields = { place: Schema.String, code: Schema.String, reason: Schema.String }

/** The server cannot be reached, is starting or full, or ended the connection. It may work later. */
export class PostgresUnreachable extends Schema.TaggedError<PostgresUnreachable>("light-server/PostgresUnreachable")(
  "PostgresUnreachable",
  fields
) {
  readonly isRetryable = true

  override get message(): string {
    return `${this.place} cannot be reached (${this.code}): ${this.reason}`
  }
}

/** The server refuses the user or the database, is too old, or does not let the server do its work. */
export class PostgresUnusable extends Schema.TaggedError<PostgresUnusable>("light-server/PostgresUnusable")(
  "PostgresUnusable",
  fields
) {
  readonly isRetryable = false

  override get message(): string {
    return `${this.place} cannot be used (${this.code}): ${this.reason}`
  }
}

export type PostgresFailure = PostgresUnreachable | PostgresUnusable

interface Cause {
  readonly code?: unknown
  readonly severity?: unknown
  readonly message?: unknown
  readonly errors?: ReadonlyArray<Cause>
}

/** Codes of the server that pass: its resources are used up, it starts or stops, or it is too busy. */
const passing = /^(08|53|57P0|57014|55P03|40)/

const advice: { readonly [code: string]: string } = {
  "28P01": "the password is wrong",
  "28000": "the user may not log in",
  "3D000": "the database does not exist; create it with createdb",
  "42501": "the user lacks a right; it needs CREATE on the schema, and to own its tables",
  "3F000": "the schema of search_path does not exist"
}

/** The driver joins the failures of several addresses of one host, and then has no text of its own. */
const firstOf = (cause: unknown): Cause => {
  const whole = Object(cause) as Cause
  return whole.errors?.[0] ?? whole
}

/** What the driver or the server says. */
export const of = (place: string, cause: unknown): PostgresFailure => {
  const { code, message, severity } = firstOf(cause)
  const text = typeof message === "string" && message !== "" ? message : String(cause)
  if (typeof severity !== "string" || typeof code !== "string") {
    return new PostgresUnreachable({ place, code: typeof code === "string" ? code : "LOST", reason: text })
  }
  if (passing.test(code)) return new PostgresUnreachable({ place, code, reason: text })
  const known = advice[code]
  return new PostgresUnusable({ place, code, reason: known === undefined ? text : `${text}; ${known}` })
}
