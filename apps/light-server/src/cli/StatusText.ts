/** The status of the server for people: whether it is well in the first line, what to look at after it. */
import type * as AdminProtocol from "../admin/AdminProtocol.ts"
import * as Quantity from "./Quantity.ts"
import * as TextTable from "./TextTable.ts"
import { programName } from "../Version.ts"

const onlineOf = ({ presence, sockets }: AdminProtocol.Status): string =>
  [
    Quantity.count(sockets.apps, "app"),
    Quantity.count(sockets.machines, "machine"),
    `${Quantity.count(sockets.sessions, "session")} connected`,
    `${presence.tracked} online in memory, ${presence.pending} to be written`
  ].join(", ")

const writerOf = ({ writer }: AdminProtocol.Status, nowMillis: number): string => {
  const lanes = writer.lanes.map(({ capacity, lane, waiting }) => `${lane} ${waiting}/${capacity}`).join(", ")
  const holder =
    writer.holder === null
      ? ""
      : `; held by ${writer.holder.lane} for ${Quantity.duration(nowMillis - writer.holder.sinceMillis)}`
  const failure =
    writer.lastFailure === null
      ? ""
      : `; last failure ${writer.lastFailure.tag}, ${Quantity.ago(writer.lastFailure.atMillis, nowMillis)}`
  const commit = `last commit ${Quantity.ago(writer.lastCommitAt, nowMillis)}`
  return `${writer.state}, ${commit}, waiting: ${lanes}${holder}${failure}`
}

const storageOf = ({ databaseFile, storage }: AdminProtocol.Status): string =>
  `${databaseFile}, ${Quantity.bytes(storage.databaseBytes)} (${Quantity.bytes(storage.reusableBytes)} reusable), ` +
  `log ${Quantity.bytes(storage.logBytes)}, ${Quantity.bytes(storage.diskFreeBytes)} free on its disk`

const backupOf = ({ backup: { failure, isGone, last } }: AdminProtocol.Status, nowMillis: number): string => {
  const made =
    last === null
      ? "never"
      : `${last.file}, ${Quantity.bytes(last.bytes)}, ${Quantity.ago(last.atMillis, nowMillis)}, ` +
        (isGone ? "GONE: the file does not exist" : "verified")
  return failure === null ? made : `${made}; FAILED ${Quantity.ago(failure.atMillis, nowMillis)}: ${failure.reason}`
}

export const render = (status: AdminProtocol.Status, nowMillis: number): string => {
  const failing = status.checks.filter(({ ok }) => !ok)
  const head =
    `${programName} ${status.version} is ${status.isReady ? "well" : "NOT ready"} ` +
    `(process ${status.pid}, up ${Quantity.duration(nowMillis - status.startedAt)})`
  const rows = [
    ...failing.map(({ code, detail, name, since }) => [name, `${code} since ${since}: ${detail}`]),
    ["address", status.publicUrl === null ? status.url : `${status.url} (for clients: ${status.publicUrl})`],
    ["connected", onlineOf(status)],
    ["writer", writerOf(status, nowMillis)],
    ["database", storageOf(status)],
    ["backup", backupOf(status, nowMillis)],
    ["log level", status.logLevel ?? "unknown"],
    ["checks", `${status.checks.length - failing.length} of ${status.checks.length} pass`]
  ]
  return `${[head, ...TextTable.aligned(rows).map((line) => `  ${line}`)].join("\n")}\n`
}
