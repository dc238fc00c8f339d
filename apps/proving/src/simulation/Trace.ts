/** What happened, one line per event, and a number that differs when anything differs. */
import { createHash } from "node:crypto"

export interface Trace {
  readonly note: (text: string) => void
  /** Sixteen hexadecimal digits over every line so far. */
  readonly digest: () => string
  readonly lineCount: () => number
}

/** `print` sees each line as it comes; without it only the digest is kept. */
export const make = (elapsedMillis: () => number, print?: (line: string) => void): Trace => {
  const hash = createHash("sha256")
  let lineCount = 0
  return {
    note: (text) => {
      const line = `${(elapsedMillis() / 1_000).toFixed(3).padStart(9)} s  ${text}`
      lineCount++
      hash.update(line)
      print?.(line)
    },
    digest: () => hash.copy().digest("hex").slice(0, 16),
    lineCount: () => lineCount
  }
}
