/** Why a database file cannot be opened, in words that name the file, the reason and the remedy. */
import * as fs from "node:fs"
import * as path from "node:path"
import { faultOfCode } from "../../sqlite/internal/resultCode.ts"
import type { Fault } from "../../writer/SqliteConnection.ts"

const cannotOpen = (filename: string, code: string, why: string): Fault =>
  faultOfCode({ code, detail: `cannot open ${filename}: ${why}`, phase: "queued" })

const mayNot = (target: string, mode: number): boolean => {
  try {
    fs.accessSync(target, mode)
    return false
  } catch {
    return true
  }
}

/** Who may do what with a file, as `ls -ln` shows it. */
const rightsOf = (target: string): string => {
  const { gid, mode, uid } = fs.statSync(target)
  const own = process.getuid === undefined ? "" : `; this process is user ${process.getuid()}`
  return `(owner ${uid}, group ${gid}, mode ${(mode & 0o777).toString(8)}${own})`
}

/** The problem of a path, found before SQLite tries: it would make a file that is not there, and wait for a pipe. */
export const problemOf = (filename: unknown): Fault | undefined => {
  if (typeof filename !== "string" || filename === "" || filename === ":memory:") {
    return faultOfCode({
      code: "SQLITE_MISUSE",
      detail: `filename must be the path of a database file, got ${JSON.stringify(filename) ?? String(filename)}`,
      phase: "queued"
    })
  }
  const folder = path.dirname(path.resolve(filename))
  let stats: fs.Stats | undefined
  try {
    if (!fs.statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
      return cannotOpen(
        filename,
        "SQLITE_CANTOPEN",
        `there is no folder ${folder}; create it and migrate the file first`
      )
    }
    stats = fs.statSync(filename, { throwIfNoEntry: false })
  } catch (cause) {
    return cannotOpen(filename, "SQLITE_CANTOPEN", `the system refuses to look at it, ${String(cause)}`)
  }
  if (stats === undefined) {
    return cannotOpen(
      filename,
      "SQLITE_CANTOPEN",
      "there is no such file; create its tables with your migrations first"
    )
  }
  if (stats.isDirectory()) {
    return cannotOpen(filename, "SQLITE_CANTOPEN_ISDIR", "it is a folder; name the database file in it")
  }
  if (!stats.isFile()) return cannotOpen(filename, "SQLITE_CANTOPEN", "it is no regular file; name a database file")
  if (mayNot(filename, fs.constants.R_OK | fs.constants.W_OK)) {
    const why = `this process may not read and write it ${rightsOf(filename)}; change its owner or its mode`
    return cannotOpen(filename, "SQLITE_READONLY", why)
  }
  if (mayNot(folder, fs.constants.W_OK | fs.constants.X_OK)) {
    const rights = rightsOf(folder)
    const why = `this process may not create the log file in ${folder} ${rights}; change its owner or its mode`
    return cannotOpen(filename, "SQLITE_READONLY_DIRECTORY", why)
  }
  return undefined
}

const remedies: Partial<Record<Fault["reason"], string>> = {
  Corrupt: "; name another file, or restore a backup",
  InputOutput: "; look at the log of the system",
  Readonly: "; look at its owner, its mode and its folder"
}

/** SQLite's own words, with the file before and the remedy behind them. */
export const explained = (filename: string, fault: Fault): Fault => ({
  ...fault,
  detail: `cannot open ${filename}: ${fault.detail}${remedies[fault.reason] ?? ""}`
})

/** The lock of another connection was not given up in time. */
export const lockedFor = (filename: string, limit: string, { code }: Fault): Pick<Fault, "detail"> => ({
  detail:
    `cannot open ${filename}: another connection has held its lock (${code}) for the openTimeout of ${limit}; ` +
    "end the program that holds it, or raise openTimeout"
})
