/**
 * What every value from a client must satisfy, whatever its route or event: its
 * texts are valid Unicode and it is not nested deeper than a limit.
 */
import { Schema } from "effect"

/**
 * Clients nest a few levels. A value nested thousands of levels deep overflows the stack of the code that prints it.
 */
export const depthMax = 64

/**
 * A text without an unpaired surrogate. SQLite would store it as invalid UTF-8,
 * and it would be read back as a different text.
 */
export const WellFormed = Schema.String.pipe(
  Schema.filter((text) => text.isWellFormed(), { description: "a text that is valid Unicode" })
)

/** All texts and keys of a parsed JSON value are valid Unicode, and it is not deeper than `depthMax`. */
export const isSound = (value: unknown, depth = 0): boolean => {
  if (typeof value === "string") return value.isWellFormed()
  if (typeof value !== "object" || value === null) return true
  if (depth >= depthMax) return false
  if (Array.isArray(value)) return value.every((item) => isSound(item, depth + 1))
  return Object.entries(value).every(([key, item]) => key.isWellFormed() && isSound(item, depth + 1))
}
