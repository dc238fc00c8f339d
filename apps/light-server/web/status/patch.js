/** Applies a merge patch (RFC 7396) to a value that is left as it is; parts that did not change are shared. */
export const applyPatch = (target, patch) => {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch
  const isObject = typeof target === "object" && target !== null && !Array.isArray(target)
  const merged = { ...(isObject ? target : {}) }
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name]
    else merged[name] = applyPatch(merged[name], value)
  }
  return merged
}
