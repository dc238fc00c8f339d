/**
 * The conditions for readiness: a pure function of values that are in memory.
 */
import type { WriterStatus } from "presence-effect/writer/SqliteWriter"
import type { PresenceStatus } from "../entities/Presence.ts"
import type { ResolvedPolicy } from "presence-effect/writer/WriterPolicy"
import { isDamage } from "../database/DatabaseReader.ts"

export interface Facts {
  readonly nowMillis: number
  readonly writer: WriterStatus
  readonly policy: ResolvedPolicy
  readonly presence: PresenceStatus
  readonly flushIntervalMillis: number
  /** The database or its log, when the path refers to another file than the open one. */
  readonly movedPath: string | undefined
  /** Why the writing connection has stopped for good. */
  readonly stopped: { readonly code: string; readonly detail: string } | undefined
  /** Why the database takes no writes, though it answers. */
  readonly problem: { readonly code: string; readonly detail: string } | undefined
  /** `undefined`: unknown. */
  readonly diskFreeBytes: number | undefined
  /** Space that must stay free. */
  readonly diskReserveBytes: number
  /** Free pages of the database file. */
  readonly reusableBytes: number
  readonly isDraining: boolean
  /** Why other replicas cannot be reached. `undefined`: there can be none. */
  readonly replicas?: { readonly problem: string | undefined } | undefined
}

/** One line of the report. `code` names the problem, or is `OK`. A problem of others leaves the server ready. */
export interface Check {
  readonly name: string
  readonly ok: boolean
  readonly code: string
  readonly detail: string
}

const check = (name: string, problem: { readonly code: string; readonly detail: string } | undefined): Check => ({
  name,
  ok: problem === undefined,
  code: problem?.code ?? "OK",
  detail: problem?.detail ?? ""
})

const writerProblem = ({ writer, policy, nowMillis }: Facts) => {
  if (writer.state !== "open") return { code: "WriterClosed", detail: `the writer is ${writer.state}` }
  if (writer.holder === undefined) return undefined
  const { lane, sinceMillis } = writer.holder
  const limit = policy.lanes.find((terms) => terms.lane === lane)?.holdLimitMillis ?? 0
  const held = nowMillis - sinceMillis
  return held > limit
    ? { code: "WriterStuck", detail: `lane ${lane} has held the writer for ${held} ms, its limit is ${limit} ms` }
    : undefined
}

const commitProblem = ({ writer, nowMillis, flushIntervalMillis }: Facts) => {
  if (writer.lastFailure !== undefined) {
    const age = nowMillis - writer.lastFailure.atMillis
    return { code: writer.lastFailure.tag, detail: `no write was committed since a failure ${age} ms ago` }
  }
  const age = writer.lastCommitMillis === undefined ? 0 : nowMillis - writer.lastCommitMillis
  // A heartbeat commits once per interval when nothing else does.
  const limit = Math.max(3 * flushIntervalMillis, 15_000)
  return age > limit
    ? { code: "CommitAge", detail: `the last commit is ${age} ms old, the limit is ${limit} ms` }
    : undefined
}

const laneProblem = ({ writer }: Facts) => {
  const first = writer.lanes[0]
  return first !== undefined && first.waiterCount >= first.capacity * 0.8
    ? {
        code: "LaneOverflow",
        detail: `${first.waiterCount} of ${first.capacity} places of lane ${first.lane} are taken`
      }
    : undefined
}

const flushProblem = ({ presence }: Facts) =>
  presence.consecutiveFlushFailures >= 2
    ? { code: "FlushFailing", detail: `${presence.consecutiveFlushFailures} flushes failed in a row` }
    : undefined

const fileProblem = ({ movedPath, problem, stopped }: Facts) => {
  if (movedPath !== undefined) {
    return { code: "DatabaseMoved", detail: `${movedPath} was deleted or replaced; the server ends` }
  }
  if (stopped === undefined) return problem
  return isDamage(stopped)
    ? { code: "DatabaseCorrupt", detail: `${stopped.detail}; nothing is written any more, restore a backup` }
    : { code: "ConnectionGone", detail: `${stopped.detail}; the server ends` }
}

/** The rule by which the writer refuses: free pages count for up to half of the reserve. */
const diskProblem = ({ diskFreeBytes, diskReserveBytes, reusableBytes }: Facts) => {
  if (
    diskFreeBytes === undefined ||
    diskFreeBytes + Math.min(reusableBytes, diskReserveBytes / 2) >= diskReserveBytes
  ) {
    return undefined
  }
  return {
    code: "DiskFull",
    detail: `${diskFreeBytes} bytes are free, and ${reusableBytes} in the file; the reserve is ${diskReserveBytes}`
  }
}

/**
 * A replica that cannot reach the others serves its own clients: otherwise none would be ready while Redis is away.
 */
const replicaChecks = ({ replicas }: Facts): ReadonlyArray<Check> => {
  if (replicas === undefined) return []
  const { problem } = replicas
  const found = problem === undefined ? undefined : { code: "ReplicasUnreachable", detail: problem }
  return [{ ...check("replicas", found), ok: true }]
}

export const judge = (facts: Facts): ReadonlyArray<Check> => [
  check("writer", writerProblem(facts)),
  check("commit", commitProblem(facts)),
  check("control-lane", laneProblem(facts)),
  check("flush", flushProblem(facts)),
  check("file", fileProblem(facts)),
  check("disk", diskProblem(facts)),
  check("draining", facts.isDraining ? { code: "Draining", detail: "the server is shutting down" } : undefined),
  ...replicaChecks(facts)
]
