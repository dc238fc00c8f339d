/** A line that is written over and over while something takes long: on a terminal only. */

export interface Progress {
  /** `share`: from 0 to 1. */
  readonly show: (share: number) => void
  /** Takes the line away. */
  readonly clear: () => void
}

const width = 30

/** Shorter work needs no line. */
const patienceMillis = 1000

export const make = (title: string, output: NodeJS.WriteStream = process.stderr): Progress => {
  const startedAt = performance.now()
  let shown = -1
  return {
    show: (share) => {
      const percent = Math.floor(share * 100)
      if (!output.isTTY || percent === shown || performance.now() - startedAt < patienceMillis) return
      shown = percent
      const done = Math.round(share * width)
      output.write(`\r${title} [${"#".repeat(done)}${".".repeat(width - done)}] ${percent} %`)
    },
    clear: () => {
      if (shown >= 0) output.write("\r\u001B[K")
    }
  }
}
