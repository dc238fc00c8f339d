/**
 * Free space on the disk that writes do not use.
 *
 * A full disk stops checkpoints too, and whatever else lives there. What writes leave free lets the log be copied and
 * emptied, which may be all that is needed, and lets rows be deleted.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import type { Fault } from "../../writer/SqliteConnection.ts"

export interface FreeSpace {
  /**
   * The refusal of a write that would grow the file. About 2 µs. Free pages of the file, `reusableBytes`, are asked for
   * only when the disk has less than the reserve.
   */
  readonly refusal: (reusableBytes: () => number) => Fault | undefined
}

/** So much more than the reserve must be free before writes go on, or they would stop and go with each checkpoint. */
const recovery = 1.25

/** Free pages stand for the rest of the reserve: a write into them goes through the log, which needs room too. */
const logShare = 0.5

const bytesFree = (filename: string): number => {
  const { bavail, bsize } = fs.statfsSync(path.dirname(path.resolve(filename)))
  return bavail * bsize
}

export const make = (filename: string, reserveBytes: number, free: () => number = () => bytesFree(filename)) => {
  let isShort = false
  const refusal = (reusableBytes: () => number): Fault | undefined => {
    if (reserveBytes <= 0) return undefined
    let bytes: number
    try {
      bytes = free()
    } catch {
      // A write will report the fault.
      return undefined
    }
    const wanted = isShort ? reserveBytes * recovery : reserveBytes
    const reusable = bytes < wanted ? reusableBytes() : 0
    isShort = bytes < wanted && (bytes < wanted * logShare || bytes + reusable < wanted)
    if (!isShort) return undefined
    const detail = `${bytes} bytes are free, and ${reusable} in the file; ${reserveBytes} are kept in reserve`
    return { reason: "Full", code: "RESERVE", detail, phase: "begin" }
  }
  return { refusal } satisfies FreeSpace
}
