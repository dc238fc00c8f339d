/** What is not well, in words, and what the operator can do about it. */
import type { TimedCheck } from "../health/Readiness.ts"

/** One message of the page. */
export interface Advice {
  /** Of the check, or of the page. */
  readonly code: string
  /** A problem makes the server unready. */
  readonly level: "problem" | "warning"
  readonly text: string
  readonly action: string
}

export interface Facts {
  readonly checks: ReadonlyArray<TimedCheck>
  readonly databaseBytes: number | undefined
  readonly logBytes: number | undefined
  /** Above it, a checkpoint empties the log. */
  readonly logBytesMax: number
  readonly diskFreeBytes: number | undefined
  readonly diskReserveBytes: number
  readonly trackedCount: number
  readonly trackedMax: number
  readonly parkedCount: number
}

interface Words {
  readonly text: string
  readonly action: string
}

const diskFull: Words = {
  text: "The disk of the database is nearly full: new data is refused, reads and deletes go on.",
  action: "Free space on that disk, or move the data directory to a larger one. Writes go on by themselves."
}

const gone: Words = {
  text: "The connection to the database is closed for good.",
  action: "The server ends and its supervisor starts it again. Look at the kernel's log for errors of the disk."
}

/** By the code of a check. */
const words: { readonly [code: string]: Words } = {
  DatabaseBusy: {
    text: "Another process holds the lock of the database.",
    action: "End the program that has the database open, a database browser or a copy. Nothing needs a restart."
  },
  WriterStuck: {
    text: "The disk has not answered a write for longer than the limit of its lane.",
    action: "Look at the load of the disk and at the kernel's log. A restart helps only once the disk responds."
  },
  WriterClosed: { text: "The writer is closed.", action: "Look at the log of the server for the reason." },
  CommitAge: {
    text: "No write has been committed for longer than expected.",
    action: "Look at the log of the server and at the load of the disk."
  },
  LaneOverflow: {
    text: "Many writes that clients wait for are queued.",
    action: "Look at the times of the lanes below: a slow disk, or more clients than this machine can serve."
  },
  FlushFailing: {
    text: "Signs of life could not be written lately. They are kept in memory and are tried again.",
    action: "Look at the other messages here for the reason."
  },
  DatabaseFull: diskFull,
  DiskFull: diskFull,
  DatabaseReadonly: {
    text: "The database or its directory cannot be written.",
    action: "Give the files and the directory back to the user of the server, with modes 0600 and 0700."
  },
  DatabaseIo: {
    text: "The disk reports errors.",
    action: "Look at the kernel's log. Make a backup before the next restart."
  },
  DatabaseCorrupt: {
    text: "The database is damaged. Nothing is written any more.",
    action: "Stop the server and restore a backup; see docs/operations.md, problems with the file."
  },
  DatabaseMoved: {
    text: "The database was deleted or replaced while the server runs.",
    action: "The server ends and its supervisor starts it on the file that is there now."
  },
  ConnectionGone: gone,
  ConnectionLost: gone,
  Draining: { text: "The server is shutting down.", action: "Wait until it has ended." }
}

const ofCheck = ({ code, detail }: TimedCheck): Advice => ({
  code,
  level: "problem",
  text: words[code]?.text ?? `A check failed: ${detail}.`,
  action: words[code]?.action ?? "Look at the log of the server for the reason."
})

const warning = (code: string, text: string, action: string): Advice => ({ code, level: "warning", text, action })

const spaceWarnings = ({ databaseBytes = 0, diskFreeBytes, diskReserveBytes }: Facts): ReadonlyArray<Advice> => {
  if (diskFreeBytes === undefined || diskFreeBytes < diskReserveBytes) return []
  if (diskFreeBytes < 2 * diskReserveBytes) {
    return [
      warning(
        "DiskNearlyFull",
        "The free space of the disk is close to the reserve, below which writes are refused.",
        "Free space on the disk of the data directory."
      )
    ]
  }
  return diskFreeBytes < databaseBytes + diskReserveBytes
    ? [
        warning(
          "NoRoomForCopy",
          "The disk has no room for a second copy of the database.",
          "Write backups to another disk, and free space before the next update: a migration copies the file first."
        )
      ]
    : []
}

/** What a check found and the server works with. */
const checkWarnings = ({ checks }: Facts): ReadonlyArray<Advice> =>
  checks
    .filter(({ code, ok }) => ok && code === "ReplicasUnreachable")
    .map(({ code, detail }) =>
      warning(
        code,
        `Other replicas cannot be reached, and their clients do not see what happens here. ${detail}.`,
        "Look at Redis. The server connects again by itself."
      )
    )

const logWarnings = ({ logBytes = 0, logBytesMax }: Facts): ReadonlyArray<Advice> =>
  logBytes > 2 * logBytesMax
    ? [
        warning(
          "LogPinned",
          "The log of the database grows: a program keeps an old state of the database open.",
          "End the program that reads the database file. The log is emptied by itself afterwards."
        )
      ]
    : []

const presenceWarnings = ({ parkedCount, trackedCount, trackedMax }: Facts): ReadonlyArray<Advice> => [
  ...(parkedCount > 0
    ? [
        warning(
          "RowsRefused",
          `The database refuses the signs of life of ${parkedCount} rows. Each is tried again.`,
          "Look for PRESENCE lines in the log of the server; a constraint of the file may be violated."
        )
      ]
    : []),
  ...(trackedCount > 0.9 * trackedMax
    ? [
        warning(
          "NearlyFull",
          `${trackedCount} of ${trackedMax} rows are tracked. Rows beyond that do not go online.`,
          "Remove machines and sessions that are not used any more."
        )
      ]
    : [])
]

/** Problems first, each once. */
export const of = (facts: Facts): ReadonlyArray<Advice> => {
  const all = [
    ...facts.checks.filter(({ ok }) => !ok).map(ofCheck),
    ...checkWarnings(facts),
    ...spaceWarnings(facts),
    ...logWarnings(facts),
    ...presenceWarnings(facts)
  ]
  return [...new Map(all.toReversed().map((advice) => [advice.code, advice])).values()].toReversed()
}

/** The first line of the page. */
export const lineOf = (advice: ReadonlyArray<Advice>): string => {
  const problems = advice.filter(({ level }) => level === "problem").length
  if (problems > 0) return problems === 1 ? "The server has a problem." : `The server has ${problems} problems.`
  if (advice.length === 0) return "All is well."
  return advice.length === 1 ? "The server works, with a warning." : `The server works, with ${advice.length} warnings.`
}
