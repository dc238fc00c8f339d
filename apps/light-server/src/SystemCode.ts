/** The code of a failed call to the system: `ENOENT`, `EACCES`. */
export const of = (cause: unknown): string =>
  cause instanceof Error && "code" in cause ? String(cause.code) : "UNKNOWN"
