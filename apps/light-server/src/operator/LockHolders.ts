/** Which processes hold locks of a database, as the kernel lists them. Linux only; elsewhere nothing is known. */
import fs from "node:fs"

export interface Holders {
  /** Holds the write lock. */
  readonly writers: ReadonlyArray<number>
  /** Have a snapshot open. */
  readonly readers: ReadonlyArray<number>
}

/** Bytes of the shared memory file that stand for locks, in WAL mode: https://sqlite.org/walformat.html */
const writeByte = 120
const [firstReadByte, lastReadByte] = [123, 127]

const line = /^\d+: (?:POSIX|OFDLCK) +ADVISORY +(READ|WRITE) +(-?\d+) +\S+:(\d+) +(\d+) +(\d+|EOF)/gm

/** Reads the list of the kernel. `text`: of another list, for tests. */
export const of = (databaseFile: string, text?: string): Holders | undefined => {
  const shared = fs.statSync(`${databaseFile}-shm`, { throwIfNoEntry: false })
  if (shared === undefined) return { writers: [], readers: [] }
  let list = text
  try {
    list ??= fs.readFileSync("/proc/locks", "utf8")
  } catch {
    return undefined
  }
  const [writers, readers] = [new Set<number>(), new Set<number>()]
  for (const [, kind, pid, inode, first, last] of list.matchAll(line)) {
    if (inode !== String(shared.ino)) continue
    const [from, to] = [Number(first), last === "EOF" ? Infinity : Number(last)]
    if (kind === "WRITE" && from <= writeByte && to >= writeByte) writers.add(Number(pid))
    if (from <= lastReadByte && to >= firstReadByte) readers.add(Number(pid))
  }
  return { writers: [...writers], readers: [...readers] }
}

/** `process 12 (node), process 34 (sqlite3)`. */
export const describe = (pids: ReadonlyArray<number>): string =>
  pids
    .map((pid) => {
      try {
        return `process ${pid} (${fs.readFileSync(`/proc/${pid}/comm`, "utf8").trim()})`
      } catch {
        return `process ${pid}`
      }
    })
    .join(", ")
