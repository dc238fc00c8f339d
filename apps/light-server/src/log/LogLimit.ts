/** A limit on the log output per minute. */

/**
 * Writes lines until those of the window have reached the limit; drops the rest
 * and reports it with the first line of the next window.
 */
export const make = (options: {
  readonly windowMillis: number
  readonly bytesMax: number
  readonly now: () => number
  readonly write: (line: string) => void
  readonly dropped: () => void
}): ((line: string) => void) => {
  let sinceMillis = options.now()
  let bytes = 0
  let droppedCount = 0
  return (line) => {
    const now = options.now()
    if (Math.abs(now - sinceMillis) >= options.windowMillis) {
      if (droppedCount > 0) {
        const message = `${droppedCount} lines were dropped, more than ${options.bytesMax} bytes came in one window`
        options.write(`${JSON.stringify({ level: "warn", time: now, code: "LOG_LIMIT", message })}\n`)
      }
      sinceMillis = now
      bytes = 0
      droppedCount = 0
    }
    // Characters stand for bytes: the lines are nearly all ASCII, and the limit is no exact science.
    bytes += line.length
    if (bytes <= options.bytesMax) return options.write(line)
    droppedCount += 1
    options.dropped()
  }
}
