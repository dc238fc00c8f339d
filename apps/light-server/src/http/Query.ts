/**
 * Numbers in the query of a request.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * A whole number of at least `min`.
 *
 * @category models
 * @since 0.1.0
 */
export const whole = (min: number): Schema.Schema<number, string> =>
  Schema.NumberFromString.pipe(Schema.int(), Schema.between(min, Number.MAX_SAFE_INTEGER))

/**
 * How many are wanted, from 1 to `max`; `normal` when the query does not say.
 *
 * @category models
 * @since 0.1.0
 */
export const limit = (max: number, normal: number) =>
  Schema.optionalWith(Schema.NumberFromString.pipe(Schema.int(), Schema.between(1, max)), { default: () => normal })
