/**
 * The difference of two snapshots as a merge patch (RFC 7396): objects are
 * merged, `null` removes, everything else replaces. The page applies it with
 * `web/status/patch.js`.
 */

export type Json = string | number | boolean | ReadonlyArray<Json> | JsonObject

/** No member is `null`: in a patch, `null` removes. A member that is `undefined` counts as absent. */
export interface JsonObject {
  readonly [name: string]: Json | undefined
}

export interface Patch {
  readonly [name: string]: Json | Patch | null
}

const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** `undefined`: nothing has changed. */
export const between = (before: JsonObject, after: JsonObject): Patch | undefined => {
  const patch: Record<string, Json | Patch | null> = {}
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const was = before[name]
    const is = after[name]
    if (is === undefined) {
      if (was !== undefined) patch[name] = null
    } else if (isObject(was) && isObject(is)) {
      const inner = between(was, is)
      if (inner !== undefined) patch[name] = inner
    } else if (JSON.stringify(was) !== JSON.stringify(is)) {
      patch[name] = is
    }
  }
  return Object.keys(patch).length === 0 ? undefined : patch
}
