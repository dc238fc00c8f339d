/** Numbers in the query of a request. */
import { Schema } from "effect"

/** A whole number of at least `min`. */
export const whole = (min: number): Schema.Schema<number, string> =>
  Schema.NumberFromString.pipe(Schema.int(), Schema.between(min, Number.MAX_SAFE_INTEGER))

/** The number of results wanted, from 1 to `max`; `normal` when the query has none. */
export const limit = (max: number, normal: number) =>
  Schema.optionalWith(Schema.NumberFromString.pipe(Schema.int(), Schema.between(1, max)), { default: () => normal })
