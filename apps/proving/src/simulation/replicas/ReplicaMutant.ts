/** Planted bugs of presence across replicas: see `Mutant`. */
import type { Mutant } from "../Mutant.ts"

const world = "replicas" as const

export const replicaMutants: ReadonlyArray<Mutant> = [
  {
    name: "no-owner-mark",
    breaks: "a replica shows nobody offline whom another one serves",
    file: "testing/SimulatedReplicas.ts",
    find: 'entry.state === "offline" && mark !== undefined && mark !== me',
    replace: 'entry.state === "offline" && mark === "nobody"',
    world
  },
  {
    name: "no-lease",
    breaks: "dead sessions of a crashed replica become offline",
    file: "presence/OfflineSweeper.ts",
    find: "if (storage.shared !== undefined) yield* Takeover.start(registry, storage.shared, emit)",
    replace: "void Takeover",
    world
  },
  {
    name: "no-fence",
    breaks: "a replica that stood still writes nothing under a lease that is over",
    file: "testing/SimulatedReplicas.ts",
    find: 'if (entry.state !== "ended" && !database.isHeld(me, leaseMillis))',
    replace: 'if (entry.state !== "ended" && me === "")',
    world,
    from: 13
  },
  {
    name: "lease-loss-unnoticed",
    breaks: "a replica whose lease ended serves under a new one",
    file: "presence/Replica.ts",
    find: "answer === undefined ? replace : Effect.void",
    replace: "answer === undefined && replace === undefined ? replace : Effect.void",
    world
  },
  {
    name: "not-stamped-again",
    breaks: "what a replica still serves after it lost its lease is online",
    file: "presence/internal/takeover.ts",
    find: "shared.replica.onNewLease(() => registry.restamp())",
    replace: "shared.replica.onNewLease(() => undefined)",
    world
  },
  {
    name: "own-clock",
    breaks: "clocks that are apart falsify nothing",
    file: "presence/Replica.ts",
    find: "clock.unsafeCurrentTimeMillis() + clockOffsetMillis()",
    replace: "clock.unsafeCurrentTimeMillis() + 0 * clockOffsetMillis()",
    world
  },
  {
    name: "elsewhere-is-written",
    breaks: "nobody is told of a row that another replica serves",
    file: "presence/internal/batches.ts",
    find: "for (const entry of result.written) {",
    replace: "for (const entry of [...result.written, ...(result.elsewhere ?? [])]) {",
    world
  },
  {
    name: "no-grace-after-the-lease",
    breaks: "a row has the grace to come back after its replica died",
    file: "testing/SimulatedReplicas.ts",
    find: "abandoned(database, kind, leaseMillis + graceMillis)",
    replace: "abandoned(database, kind, 0 * (leaseMillis + graceMillis))",
    world
  },
  {
    name: "connection-not-claimed",
    breaks: "a client that comes back to a replica is served there again",
    file: "presence/PresenceRegistry.ts",
    find: 'if (outcome === "alive" && table.isShared) {',
    replace: 'if (outcome === "alive" && table.isShared && row.id === "") {',
    world,
    from: 34
  },
  {
    name: "a-drop-claims",
    breaks: "a connection that was half open claims no row",
    file: "presence/internal/rowTable.ts",
    find: "if (!this.isShared) row.seen = now",
    replace: "row.seen = now",
    world,
    from: 23
  },
  {
    name: "older-sign-claims",
    breaks: "an older sign of life claims no row, also when no lease holds",
    file: "testing/SimulatedReplicas.ts",
    find: "isFree && entry.seenAtMillis === lastActiveMillis",
    replace: "isFree",
    world,
    from: 116
  },
  {
    name: "end-elsewhere-untold",
    breaks: "an end is told, also of a row that ended here before",
    file: "presence/internal/rowTable.ts",
    find: 'row.reason ?? (entry.wasActive === true ? "ended" : undefined)',
    replace: "row.reason",
    world,
    from: 136
  },
  {
    name: "mark-waits-for-the-interval",
    breaks: "the mark of a new connection is written within a second",
    file: "presence/PresenceRegistry.ts",
    find: "const claim = (): void => claimed.unsafeOpen()",
    replace: "const claim = (): void => void claimed",
    world
  },
  {
    name: "old-grace-hides-a-takeover",
    breaks: "a row that is taken over is told, also where a grace of it still runs",
    file: "presence/PresenceRegistry.ts",
    find: "if (table.isShared && row.holds === 0 && table.dropped.has(row)) {",
    replace: "if (table.isShared && row.holds === 0 && table.dropped.has(row) && row.id === '') {",
    world,
    from: 5075
  },
  {
    name: "half-open-outranks-a-client",
    breaks: "a connection that may be half open does not outrank a client that is at another replica",
    file: "presence/internal/rowTable.ts",
    find: "this.isShared ? undisputed(row, storedMillis) : now",
    replace: "now",
    world,
    from: 432
  },
  {
    name: "older-connection-disputes",
    breaks: "of two replicas with a connection of a row, the one with the newer sign of life serves it",
    file: "presence/internal/row.ts",
    find: "row.seen === storedMillis ? storedMillis + 1 : row.seen",
    replace: "row.seen < 0 ? row.seen : storedMillis + 1",
    world,
    from: 5551131
  },
  {
    name: "takeover-by-anyone",
    breaks: "a replica whose lease has just begun takes nobody over: those that it may miss come back first",
    file: "testing/SimulatedReplicas.ts",
    find: "(own?.startedMillis ?? 0) <= database.options.nowMillis() - graceMillis",
    replace: "(own?.startedMillis ?? 0) <= database.options.nowMillis() + graceMillis",
    world
  }
]
