/**
 * Repeated log lines, counted instead of written.
 *
 * A fault that affects every request would otherwise fill the disk with one
 * line, and hide the others. The first line of its kind is written at once;
 * repetitions within the window are counted, and reported in one line when the
 * window ends.
 */

/** One line. Lines with the same `key` are of one kind. */
export interface Line {
  readonly level: string
  readonly key: string
  readonly fields: { readonly [name: string]: unknown }
  readonly message: string
}

export interface LogRollup {
  readonly offer: (line: Line, nowMillis: number) => void
  /** Reports all windows that have ended. */
  readonly sweep: (nowMillis: number) => void
  /** Reports everything that was counted. */
  readonly close: () => void
}

interface Window {
  readonly first: Line
  readonly sinceMillis: number
  repeatedCount: number
}

export const make = (options: {
  readonly windowMillis: number
  /** Kinds remembered at once; beyond, lines are written as they come. */
  readonly capacity: number
  readonly write: (line: Line) => void
  readonly suppressed: () => void
}): LogRollup => {
  const windows = new Map<string, Window>()

  const tell = ({ first, repeatedCount }: Window) => {
    if (repeatedCount === 0) return
    const seconds = Math.round(options.windowMillis / 1000)
    options.write({
      ...first,
      fields: { ...first.fields, repeated: repeatedCount },
      message: `${first.message} (repeated ${repeatedCount} times in ${seconds} s)`
    })
  }

  const sweep = (nowMillis: number) => {
    for (const [key, window] of windows) {
      if (Math.abs(nowMillis - window.sinceMillis) < options.windowMillis) continue
      windows.delete(key)
      tell(window)
    }
  }

  return {
    offer: (line, nowMillis) => {
      const open = windows.get(line.key)
      if (open !== undefined && Math.abs(nowMillis - open.sinceMillis) < options.windowMillis) {
        open.repeatedCount += 1
        options.suppressed()
        return
      }
      if (open !== undefined) {
        windows.delete(line.key)
        tell(open)
      }
      options.write(line)
      if (windows.size < options.capacity) {
        windows.set(line.key, { first: line, sinceMillis: nowMillis, repeatedCount: 0 })
      }
    },
    sweep,
    close: () => {
      for (const window of windows.values()) tell(window)
      windows.clear()
    }
  }
}
