/**
 * How the current database stores times, for code that writes or compares one.
 *
 * Our own files hold integers. A file of another happier light server may hold ISO text, and SQLite sorts any text
 * after every number: a time in the other form would never be the oldest of its column. So a file keeps its form.
 */
import { Context, Effect, Layer, Schema } from "effect"
import { DatabaseReader, type ReadFailed } from "./DatabaseReader.ts"

/** A form of times. */
export interface Form {
  readonly name: "integer" | "iso"
  /** Epoch milliseconds as the value to bind. Values of one form sort by time. */
  readonly encode: (millis: number) => number | string
}

/** Epoch milliseconds. */
export const integer: Form = { name: "integer", encode: (millis) => millis }

/** `2026-02-01T12:00:00.000+00:00`. */
export const iso: Form = {
  name: "iso",
  encode: (millis) => new Date(millis).toISOString().replace("Z", "+00:00")
}

/** The form of the database. Integers unless a layer provides another form. */
export class TimeForm extends Context.Reference<TimeForm>()("light-server/TimeForm", {
  defaultValue: (): Form => integer
}) {}

const Sample = Schema.Struct({ numbers: Schema.Int, texts: Schema.Int })

const columns = [
  ["Account", "createdAt"],
  ["Session", "lastActiveAt"],
  ["Machine", "lastActiveAt"]
] as const

const newest = columns.map(
  ([table, column]) => `SELECT * FROM (SELECT "${column}" AS stored FROM "${table}" ORDER BY rowid DESC LIMIT 100)`
)

// Values from CURRENT_TIMESTAMP do not show the form: they are defaults of columns.
const sample = `SELECT
    coalesce(sum(typeof(stored) IN ('integer', 'real')), 0) AS numbers,
    coalesce(sum(typeof(stored) = 'text' AND stored LIKE '____-__-__T%'), 0) AS texts
  FROM (${newest.join(" UNION ALL ")})`

/** Finds out the form of a database from its newest rows. Where both occur, the more frequent one counts. */
export const detect: Effect.Effect<Form, ReadFailed, DatabaseReader> = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const [found] = yield* reader.rows(Sample, sample)
  return found !== undefined && found.texts > found.numbers ? iso : integer
})

export const layer: Layer.Layer<TimeForm, ReadFailed, DatabaseReader> = Layer.effect(TimeForm, detect)
