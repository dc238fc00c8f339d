/** What the innermost of nested errors says, with its code: a client wraps the driver's error in words of its own. */
export const causeText = (cause: unknown, depth = 5): string => {
  if (typeof cause !== "object" || cause === null) return String(cause)
  if ("cause" in cause && cause.cause !== undefined && cause.cause !== null && depth > 0) {
    return causeText(cause.cause, depth - 1)
  }
  const text = cause instanceof Error ? cause.message : String(cause)
  return "code" in cause && typeof cause.code === "string" ? `${text} (${cause.code})` : text
}
