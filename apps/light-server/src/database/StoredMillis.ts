/**
 * The milliseconds of a time as a file stores it: an integer, or ISO text of any age.
 *
 * A plain function without imports, so that threads that read can use it.
 */

/** `2026-02-01 12:00:00`, with `T`, fraction and zone optional. Without a zone SQLite means UTC. */
const isoText = /^(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?))?\s*(Z|[+-]\d{2}:?\d{2})?$/i

const ofText = (text: string): number | undefined => {
  if (/^\d{1,16}$/.test(text)) return Number(text)
  const match = isoText.exec(text.trim())
  if (match === null) return undefined
  const millis = Date.parse(`${match[1]}T${match[2] ?? "00:00:00"}${(match[3] ?? "Z").toUpperCase()}`)
  return Number.isFinite(millis) ? Math.trunc(millis) : undefined
}

/** `undefined`: the value is not a time. */
export const of = (stored: unknown): number | undefined => {
  const millis =
    typeof stored === "number" ? Math.trunc(stored) : typeof stored === "string" ? ofText(stored) : undefined
  return Number.isSafeInteger(millis) ? millis : undefined
}
