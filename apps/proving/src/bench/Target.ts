/** The targets, and the files that answer them. */

export interface Target {
  readonly id: string
  readonly question: string
  /** From the folder of the benchmarks. */
  readonly file: string
  /** Programs that work for the question in process groups of their own. What they use is no load of others. */
  readonly services?: ReadonlyArray<string>
}

const library = "library"
const server = "server"
export const services: ReadonlyArray<string> = ["postgres", "redis-server"]

export const all: ReadonlyArray<Target> = [
  { id: "T1", question: "a flush against the bare statement", file: `${library}/FlushCost.bench.ts` },
  { id: "T2", question: "a flush against one updateMany per session", file: `${library}/IncidentFlush.bench.ts` },
  { id: "T3", question: "registrations while presence flushes", file: `${server}/RegistrationTail.bench.ts` },
  { id: "T4", question: "registrations against the incident", file: `${server}/IncidentTail.bench.ts` },
  { id: "T5", question: "a heartbeat against Map.set", file: `${library}/BeatCost.bench.ts` },
  { id: "T6", question: "heartbeats through socket.io", file: `${server}/HeartbeatRate.bench.ts` },
  { id: "T7", question: "memory of a million rows", file: `${library}/RowMemory.bench.ts` },
  { id: "T8", question: "the event loop under faults", file: `${server}/LoopGap.bench.ts` },
  { id: "T9", question: "group commit against one fsync each", file: `${library}/GroupCommit.bench.ts` },
  { id: "T10", question: "the permit against a plain semaphore", file: `${library}/PermitCost.bench.ts` },
  { id: "T11", question: "the round trip of the thread", file: `${library}/ThreadCost.bench.ts` },
  { id: "T12", question: "the worst write while checkpoints run", file: `${library}/CheckpointPause.bench.ts` },
  { id: "T13", question: "from start to the first machine", file: `${server}/StartTime.bench.ts` },
  { id: "T14", question: "registrations while another account reads 8 MB", file: `${server}/PageReads.bench.ts` },
  { id: "T15", question: "registrations while 100 apps watch one machine", file: `${server}/FanOut.bench.ts` },
  {
    id: "T16",
    question: "registrations in groups against one commit each",
    file: `${server}/GroupedMachines.bench.ts`
  },
  { id: "T18", question: "memory of the server", file: `${server}/Memory.bench.ts` },
  {
    id: "T19",
    question: "a flush on PostgreSQL against statements by hand",
    file: `${library}/ServerFlush.bench.ts`,
    services
  },
  { id: "T20", question: "registrations at two replicas", file: `${server}/ReplicaTail.bench.ts`, services },
  { id: "T21", question: "a heartbeat for other replicas", file: `${server}/ReplicaBeat.bench.ts`, services }
]

/** Run by `--scale` only: points of curves, not targets. */
export const scale: ReadonlyArray<Target> = [
  { id: "S1", question: "cost of a tick by rows and file size", file: `${library}/FlushScale.bench.ts` },
  { id: "S2", question: "a million tracked rows", file: `${library}/RegistryScale.bench.ts` },
  { id: "S3", question: "cost of a connection", file: `${server}/ConnectionScale.bench.ts` },
  { id: "S4", question: "accounts with ten open apps each", file: `${server}/Capacity.bench.ts` },
  { id: "S5", question: "one file against one and three replicas", file: `${server}/ReplicaScale.bench.ts`, services }
]
