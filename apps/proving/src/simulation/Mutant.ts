/**
 * Planted bugs: each is one replacement of text in one source file, made while the simulation is bundled. The shipped
 * code contains none of them. A text that does not occur exactly once is an error, so that mutants cannot become
 * outdated.
 */
export interface Mutant {
  readonly name: string
  /** The guarantee that it breaks. */
  readonly breaks: string
  /** Below `src`. */
  readonly file: string
  readonly find: string
  readonly replace: string
  /** The simulation that finds it. Default: that of one process and its file. */
  readonly world?: "replicas"
  /** A seed that finds it, for a search that must not take long. Default: 1. */
  readonly from?: number
}

export const mutants: ReadonlyArray<Mutant> = [
  {
    name: "clear-before-commit",
    breaks: "a flush that fails loses nothing",
    file: "presence/PresenceFlusher.ts",
    find: "Effect.sync(take),",
    replace: `Effect.sync(() => {
        const batch = take()
        registry.confirm({ written: batch.entries, superseded: [], missing: [] })
        return batch
      }),`
  },
  {
    name: "batch-not-given-back",
    breaks: "a flush that fails is repeated",
    file: "presence/PresenceFlusher.ts",
    find: "registry.giveBack(unaccounted(batch, report))",
    replace: "void unaccounted(batch, report)"
  },
  {
    name: "no-last-flush",
    breaks: "an orderly end writes what waits",
    file: "presence/PresenceFlusher.ts",
    find: "yield* Effect.addFinalizer(() => drain(registry, flushAll, drainTimeout, label))",
    replace: "void drain"
  },
  {
    name: "hand-over-dropped",
    breaks: "the permit is never lost",
    file: "writer/internal/opaque.ts",
    find: "Effect.zipRight(held, giveBack)",
    replace: "held"
  },
  {
    name: "no-semaphore",
    breaks: "never two hold the permit",
    file: "writer/LaneSemaphore.ts",
    find: "semaphore.withPermitsIfAvailable(1)(nextTurn)",
    replace: "Effect.asSome(nextTurn)"
  },
  {
    name: "free-permit-not-taken",
    breaks: "never two hold the permit",
    file: "writer/LaneSemaphore.ts",
    find: "Effect.flatMap(semaphore.take(1), () => use(taken()))",
    replace: "use(taken())"
  },
  {
    name: "no-bypass-bound",
    breaks: "presence is never starved",
    file: "writer/internal/laneQueue.ts",
    find: "queue.bypassed >= bypassLimit &&",
    replace: "queue.bypassed >= Infinity + bypassLimit &&"
  },
  {
    name: "unbounded-lane",
    breaks: "queues are bounded",
    file: "writer/internal/laneQueue.ts",
    find: "if (queue.waiters.size >= queue.capacity) return false",
    replace: ""
  },
  {
    name: "guard-removed",
    breaks: "lastActiveAt never goes backwards",
    file: "sqlite/internal/caseUpdate.ts",
    find: "CASE WHEN ${isNewer} THEN ${seen} ELSE ${lastActiveAt} END,",
    replace: "${seen},"
  },
  {
    name: "equal-counts-as-newer",
    breaks: "a stored end keeps older signs of life out, also after a restart",
    file: "sqlite/internal/caseUpdate.ts",
    find: "const isNewer = `${entry}.seen > ${stored} OR",
    replace: "const isNewer = `${entry}.seen >= ${stored} OR"
  },
  {
    name: "fence-ignored",
    breaks: "an ended row is not brought back by old heartbeats",
    file: "presence/internal/rowTable.ts",
    find: "if (end === undefined || claimed > end) return true",
    replace: "return true"
  },
  {
    name: "fence-of-the-future",
    breaks: "an end that is written while a flush waits stays an end",
    from: 76,
    file: "sqlite/internal/chunkedFlush.ts",
    find: " + WriterPolicy.termsOf(writer.policy, lane).deadlineMillis",
    replace: " + 0 * WriterPolicy.termsOf(writer.policy, lane).deadlineMillis"
  },
  {
    name: "held-up-by-the-clock",
    breaks: "no row stays online because the clock was set back",
    from: 23,
    file: "presence/OfflineSweeper.ts",
    find: "lastMillis: nowMillis + windowMillis",
    replace: "lastMillis: nowMillis + windowMillis * 1e6"
  },
  {
    name: "sweep-without-registry",
    breaks: "no living row is swept",
    file: "presence/OfflineSweeper.ts",
    find: ".filter((key) => !registry.isHeld(key))",
    replace: ""
  },
  {
    name: "silent-while-connected",
    breaks: "a row with an open connection is never silent",
    from: 13,
    file: "presence/internal/rowTable.ts",
    find: "if (!row.isAlive || row.connections > 0) continue",
    replace: "if (!row.isAlive) continue"
  },
  {
    name: "claims-refuse",
    breaks: "no clock of a client refuses a beat over the row's own connection",
    file: "presence/PresenceRegistry.ts",
    find: 'if (dated === "ancient" && (rowOf(key)?.connections ?? 0) > 0)',
    replace: 'if (dated === "ancient" && (rowOf(key)?.connections ?? 0) > 1e9)'
  },
  {
    name: "claims-date-everything",
    breaks: "a beat over the row's own connection is newer than its end by its arrival",
    file: "presence/internal/rowTable.ts",
    find: 'dated > row.seen ? dated : row.connections > 0 || row.state === "offline" ? now : row.seen',
    replace: "Math.max(dated, row.seen)"
  },
  {
    name: "connection-revives",
    breaks: "a connection does not bring a row back that ended",
    file: "presence/internal/rowTable.ts",
    find: "(now <= row.seen || this.ends.get(row)?.claimed !== undefined)",
    replace: "now <= row.seen"
  },
  {
    name: "grace-by-claims",
    breaks: "a beat that arrives within the grace keeps the row online, whatever its clock",
    from: 96,
    file: "presence/internal/rowTable.ts",
    find: "    if (seen > row.seen) row.seen = seen\n    this.dropped.delete(row)",
    replace: `    if (seen > row.seen) row.seen = seen
    if (seen > (this.dropped.get(row) ?? 0)) this.dropped.delete(row)`
  },
  {
    name: "start-forgotten",
    breaks: "a row that has not come back after a start is offline when its grace is over",
    from: 132,
    file: "presence/OfflineSweeper.ts",
    find: "firstMillis: Math.max(nowMillis - timeoutMillis, quiet.startedAt(nowMillis)),",
    replace: "firstMillis: nowMillis - timeoutMillis,"
  },
  {
    name: "superseded-stays-online",
    breaks: "an ended row is not brought back in memory",
    from: 31,
    file: "presence/internal/rowTable.ts",
    find: "if (row.isAlive && row.seen <= storedMillis) {",
    replace: "if (row.isAlive && row.seen <= storedMillis - 1e15) {"
  },
  {
    name: "end-forgotten-when-full",
    breaks: "an end is remembered also when the registry is full",
    from: 231,
    file: "presence/internal/rowTables.ts",
    find: "hasRoom(nowMillis, capacity + Math.max(8, Math.trunc(capacity / 8)))",
    replace: "hasRoom(nowMillis, capacity)"
  },
  {
    name: "end-at-its-claim",
    breaks: "an end of a row that is not in memory has at least the time in the file",
    from: 92,
    file: "presence/internal/rowTable.ts",
    find: "claimed: isProvisional ? Math.max(row.claimed, now) : row.claimed",
    replace: "claimed: row.claimed"
  },
  {
    name: "future-stays",
    breaks: "a time from a clock that was ahead is replaced by the next beat",
    file: "sqlite/internal/caseUpdate.ts",
    find: "CASE WHEN ${isNewer} THEN ${seen} ELSE",
    replace: "CASE WHEN ${entry}.seen > ${stored} THEN ${seen} ELSE"
  },
  {
    name: "permit-freed-on-timeout",
    breaks: "no call gets the permit while a statement still runs",
    file: "writer/internal/attempts.ts",
    find: "Effect.zipRight(Effect.yieldNow(), lead(this))",
    replace: `Effect.zipRight(
        Effect.yieldNow(),
        Effect.interruptible(Effect.timeoutOption(Effect.disconnect(lead(this)), terms.holdLimitMillis))
      )`
  },
  {
    name: "retry-inside-the-permit",
    breaks: "retries wait without the permit",
    file: "writer/internal/attempts.ts",
    find: "          Effect.exit,\n          Effect.map((exit) => {",
    replace: `          Effect.catchIf(
            ({ reason }) => reason === "Busy",
            function again(): ReturnType<typeof connection.run> {
              const run = connection.run(group.map(({ write }) => write.statements), durabilityOf(group))
              return Effect.zipRight(Effect.sleep(20), Effect.catchIf(run, ({ reason }) => reason === "Busy", again))
            }
          ),
          Effect.exit,
          Effect.map((exit) => {`
  },
  {
    name: "ack-before-commit",
    breaks: "what is acknowledged is in the file",
    file: "writer/internal/attempts.ts",
    find: "      journal.holding(leader.lane)",
    replace: `      journal.holding(leader.lane)
      for (const attempt of group) {
        const results = attempt.write.statements.map(() => ({ rows: [], changes: 1 }))
        attempt.settle(Effect.succeed({ results, grantedAt, holdMillis: 0, groupSize: group.length }))
      }`
  },
  {
    name: "hang-on-a-stall",
    breaks: "every caller is answered within its deadline",
    from: 54,
    file: "writer/internal/attempts.ts",
    find: 'for (const attempt of group) unconfirmed(attempt, "hold-limit")',
    replace: ""
  },
  {
    name: "group-without-savepoints",
    breaks: "a write that fails leaves nothing, alone or in a group",
    file: "node/internal/sqliteEngine.ts",
    find: 'this.connection.execute("ROLLBACK TO one_write", [], "statement")',
    replace: ""
  },
  {
    name: "unknown-is-retried",
    breaks: "no write is applied twice",
    file: "writer/internal/engineFailure.ts",
    find: 'return phase === "queued"',
    replace: "return phase.length > 0"
  },
  {
    name: "commit-error-means-nothing",
    breaks: "a failure reports correctly what is in the file",
    file: "writer/internal/engineFailure.ts",
    find: "new DatabaseIo({ ...engine, written: atCommit })",
    replace: 'new DatabaseIo({ ...engine, written: "nothing" })'
  },
  {
    name: "told-before-commit",
    breaks: "a transition is announced after its commit",
    file: "presence/PresenceFlusher.ts",
    find: "observed(journal, batch, storage.flush(batch, lane)),",
    replace: `Effect.zipRight(
              Effect.suspend(() =>
                (onTransitions ?? (() => Effect.void))(
                  batch.entries
                    .filter(({ state }) => state !== "alive")
                    .map((key) => ({ key, lastSeenMillis: key.seenAtMillis, reason: "ended" as const }))
                )
              ),
              observed(journal, batch, storage.flush(batch, lane))
            ),`
  },
  {
    name: "retry-by-the-wall-clock",
    breaks: "every caller is answered within its deadline, also when the clock is set",
    file: "writer/internal/retries.ts",
    find: "Schedule.whileInput(schedule(), isInTime)",
    replace: "(void isInTime, schedule())"
  }
]

export const find = (name: string): Mutant | undefined => mutants.find((mutant) => mutant.name === name)
