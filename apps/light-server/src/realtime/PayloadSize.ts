/** The size of a value that came as JSON or bytes. */

/** Deeper than any payload of a client, and far below the depth at which a recursive encoder overflows the stack. */
const depthMax = 64

/** The rest of `bytes` after `value`; negative when it does not fit, or is too deep. */
const rest = (value: unknown, bytes: number, depth: number): number => {
  if (depth > depthMax) return -1
  if (typeof value === "string") {
    // No character takes fewer bytes than one, so most long texts are decided without being encoded.
    return value.length > bytes ? -1 : bytes - Buffer.byteLength(value)
  }
  if (value instanceof Uint8Array) return bytes - value.byteLength
  if (typeof value === "number") return bytes - String(value).length
  if (typeof value !== "object" || value === null) return bytes - 4
  let left = bytes
  if (Array.isArray(value)) {
    for (const item of value as ReadonlyArray<unknown>) {
      if (left < 0) return left
      left = rest(item, left, depth + 1)
    }
    return left
  }
  const fields = value as { readonly [name: string]: unknown }
  // Not `Object.entries`, which copies everything first.
  for (const name in fields) {
    if (left < 0) return left
    left = rest(fields[name], left - name.length, depth + 1)
  }
  return left
}

/**
 * The bytes that `value` takes, or `undefined` when it takes more than
 * `bytesMax` or is nested too deep to be encoded again. An estimate: texts
 * count as UTF-8, punctuation is left out. Stops at the limit, so its cost is
 * bounded too.
 */
export const measure = (value: unknown, bytesMax: number): number | undefined => {
  const left = rest(value, bytesMax, 0)
  return left < 0 ? undefined : bytesMax - left
}

/** Whether `value` takes at most `bytesMax` bytes. */
export const isWithin = (value: unknown, bytesMax: number): boolean => rest(value, bytesMax, 0) >= 0
