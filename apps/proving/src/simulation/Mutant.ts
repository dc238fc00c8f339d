/**
 * Planted bugs: each is one replacement of text in one source file, made while the simulation is bundled. The shipped
 * code knows nothing of them. A text that does not occur exactly once is an error, so that no mutant can rot.
 */
export interface Mutant {
  readonly name: string
  /** The promise that it breaks. */
  readonly breaks: string
  /** Below `src`. */
  readonly file: string
  readonly find: string
  readonly replace: string
}

export const mutants: ReadonlyArray<Mutant> = [
  {
    name: "clear-before-commit",
    breaks: "a flush that fails loses nothing",
    file: "presence/PresenceFlusher.ts",
    find: "Effect.sync(take),",
    replace: `Effect.sync(() => {
        const batch = take()
        registry.confirm({ written: batch.entries, overtaken: [], missing: [] })
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
    find: "yield* Effect.addFinalizer(() => drain)",
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
    find: "CASE WHEN entry.seen > ${stored} THEN ${seen} ELSE ${lastActiveAt} END,",
    replace: "${seen},"
  },
  {
    name: "equal-counts-as-newer",
    breaks: "a stored end is a fence, also after a restart",
    file: "sqlite/internal/caseUpdate.ts",
    find: "THEN CASE WHEN entry.seen > ${stored} OR",
    replace: "THEN CASE WHEN entry.seen >= ${stored} OR"
  },
  {
    name: "fence-ignored",
    breaks: "nothing rises from the dead",
    file: "presence/internal/rowTable.ts",
    find: 'if (seen <= row.seen || (row.droppedAt !== undefined && seen <= row.droppedAt)) return "ended"',
    replace: ""
  },
  {
    name: "fence-of-the-future",
    breaks: "an end that is written while a flush waits stays a fence",
    file: "sqlite/SqlitePresenceStorage.ts",
    find: " + WriterPolicy.termsOf(writer.policy, lane).deadlineMillis",
    replace: " + 0 * WriterPolicy.termsOf(writer.policy, lane).deadlineMillis"
  },
  {
    name: "held-up-by-the-clock",
    breaks: "nobody stays online because the clock was set back",
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
    name: "permit-freed-on-timeout",
    breaks: "nobody is let in beside a statement that still runs",
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
    breaks: "a failure says truly what is in the file",
    file: "writer/internal/engineFailure.ts",
    find: "new DatabaseIo({ ...engine, written: atCommit })",
    replace: 'new DatabaseIo({ ...engine, written: "nothing" })'
  },
  {
    name: "told-before-commit",
    breaks: "a transition is told after its commit",
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
    find: "Schedule.whileInput(schedule, isInTime)",
    replace: "(void isInTime, schedule)"
  }
]

export const find = (name: string): Mutant | undefined => mutants.find((mutant) => mutant.name === name)
