/**
 * Room on the disk that writes leave alone.
 *
 * A full disk stops checkpoints too, and whatever else lives there. What writes leave free lets the log be copied and
 * emptied, which may be all that is needed.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import type { Fault } from "../../writer/SqliteConnection.ts"

export interface FreeSpace {
  /** The refusal of a write that would grow the file. About 2 µs. */
  readonly refusal: () => Fault | undefined
}

/** So much more than the reserve must be free before writes go on, or they would stop and go with each checkpoint. */
const recovery = 1.25

const bytesFree = (filename: string): number => {
  const { bavail, bsize } = fs.statfsSync(path.dirname(path.resolve(filename)))
  return bavail * bsize
}

export const make = (filename: string, reserveBytes: number, free: () => number = () => bytesFree(filename)) => {
  let isShort = false
  const refusal = (): Fault | undefined => {
    if (reserveBytes <= 0) return undefined
    let bytes: number
    try {
      bytes = free()
    } catch {
      // A write finds out itself.
      return undefined
    }
    isShort = bytes < (isShort ? reserveBytes * recovery : reserveBytes)
    if (!isShort) return undefined
    const detail = `${bytes} bytes are free, ${reserveBytes} are kept in reserve`
    return { reason: "Full", code: "RESERVE", detail, phase: "begin" }
  }
  return { refusal } satisfies FreeSpace
}
