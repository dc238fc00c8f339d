/**
 * The fiber that turns what changed since the last tick into one write.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import { deepStrictEqual } from "node:assert/strict"
 * import * as PresenceConfig from "presence-effect/presence/PresenceConfig"
 * import * as PresenceFlusher from "presence-effect/presence/PresenceFlusher"
 * import * as PresenceRegistry from "presence-effect/presence/PresenceRegistry"
 * import * as PresenceStorage from "presence-effect/presence/PresenceStorage"
 *
 * const kinds = { device: {} }
 * const phone = { kind: "device", id: "phone" }
 * const program = Effect.gen(function* () {
 *   const rows = PresenceStorage.memoryRows(kinds)
 *   rows.set("device", { id: "phone", active: false, lastActiveMillis: 0 })
 *   const registry = PresenceRegistry.make(kinds, PresenceConfig.defaults)
 *   const flusher = yield* PresenceFlusher.make(PresenceConfig.defaults).pipe(
 *     Effect.provideService(PresenceRegistry.PresenceRegistry, registry),
 *     Effect.provideService(PresenceStorage.PresenceStorage, PresenceStorage.makeMemory(rows))
 *   )
 *   registry.beat(phone, 1_000, 1_000)
 *   // The fiber does this one interval later.
 *   yield* flusher.tick
 *   deepStrictEqual(rows.get(phone), { id: "phone", active: true, lastActiveMillis: 1_000 })
 * })
 * await Effect.runPromise(Effect.scoped(program))
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { withKeptSpan } from "../internal/keptSpan.ts"
import * as FlushBatch from "./FlushBatch.ts"
import { pause } from "./internal/sortedRuns.ts"
import { DatabaseName, labelled } from "../writer/DatabaseName.ts"
import * as Lane from "../writer/Lane.ts"
import { nameOf, type PresenceKey } from "./PresenceKey.ts"
import * as PresenceMetrics from "./PresenceMetrics.ts"
import type { Rejection, Transition } from "./PresenceRegistry.ts"
import { PresenceRegistry } from "./PresenceRegistry.ts"
import type { FlushFailed, FlushReport, RefusedEntry } from "./PresenceStorage.ts"
import { emptyReport, PresenceStorage } from "./PresenceStorage.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface FlusherOptions {
  /** Longest time that a report waits for its tick, and shortest time between the end of one tick and the next. */
  readonly interval: Duration.DurationInput
  /** Lane of the ticks. Default: `presence`. */
  readonly lane?: Lane.Lane
  /** Longest time for the last flush when the scope closes. */
  readonly drainTimeout: Duration.DurationInput
  /** Runs after the commit that made the transitions happen. */
  readonly onTransitions?: (transitions: ReadonlyArray<Transition>) => Effect.Effect<void>
}

/**
 * @category models
 * @since 0.1.0
 */
export interface FlusherStatus {
  /** Epoch ms of the last tick that wrote everything it took, or found nothing to write. */
  readonly lastFlushMillis: number | undefined
  /** Ticks in a row that failed. Writes of single rows by `flushKey` do not count. */
  readonly consecutiveFailures: number
  /** Reason of the newest failure since that tick. */
  readonly lastFailure: string | undefined
}

/**
 * @category services
 * @since 0.1.0
 */
export class PresenceFlusher extends Context.Tag("presence-effect/presence/PresenceFlusher")<
  PresenceFlusher,
  {
    /**
     * Flushes everything that waits. Never fails, never overlaps itself: what was not written waits for the next, and
     * so does a row that another transaction holds.
     */
    readonly tick: Effect.Effect<void>
    /** Flushes one row at once, on the terms of `lane`. Never fails: what was not written waits for the next tick. */
    readonly flushKey: (key: PresenceKey, lane: Lane.Lane) => Effect.Effect<void>
    readonly status: Effect.Effect<FlusherStatus>
  }
>() {}

/** Rows taken at once: a tick of many rows must not keep the event loop. */
const takeRows = 2_000

/** How long a row that has just come online waits for others, so that one statement writes the marks of all. */
const claimDelay = Duration.seconds(1)

/** While flushes fail, one line a minute is logged. */
const warnEveryMillis = 60_000

const rejections: ReadonlyArray<Rejection> = ["invalid", "ancient", "ended", "foreign", "full"]

/** What the report does not account for: it may not be in the database. */
const unaccounted = (batch: FlushBatch.FlushBatch, report: FlushReport): FlushBatch.FlushBatch => {
  const parts = [report.written, report.superseded, report.missing, report.refused ?? [], report.elsewhere ?? []]
  if (parts.reduce((count, { length }) => count + length, 0) === batch.entries.length) return FlushBatch.empty
  const accounted = new Set<string>()
  for (const part of parts) {
    for (const entry of part) accounted.add(nameOf(entry))
  }
  return FlushBatch.make(batch.entries.filter((entry) => !accounted.has(nameOf(entry))))
}

const summaryOf = (batch: FlushBatch.FlushBatch, report: FlushReport | undefined): string => {
  const done = FlushBatch.countByKind(report?.written ?? [])
  const parts = Array.from(
    FlushBatch.countByKind(batch.entries),
    ([kind, count]) => `${done.get(kind) ?? 0}/${count} ${kind} updates`
  )
  return `Flushed ${parts.join(", ")}`
}

type Label = ReturnType<typeof labelled>

/** What is known about the flushes so far, and what is logged about the next. */
const makeJournal = (label: Label) => {
  let status: FlusherStatus = { lastFlushMillis: undefined, consecutiveFailures: 0, lastFailure: undefined }
  let warnedAtMillis = Number.NEGATIVE_INFINITY
  return {
    label,
    status: Effect.sync(() => status),
    /** A tick wrote everything it took. */
    succeeded: (nowMillis: number): Effect.Effect<void> => {
      const failures = status.consecutiveFailures
      status = { lastFlushMillis: nowMillis, consecutiveFailures: 0, lastFailure: undefined }
      warnedAtMillis = Number.NEGATIVE_INFINITY
      if (failures === 0) return Effect.void
      return Effect.logInfo(`presence is written again after ${failures} failed flushes`).pipe(
        Effect.annotateLogs("code", "PresenceFlushRecovered")
      )
    },
    failed: (batch: FlushBatch.FlushBatch, cause: Cause.Cause<FlushFailed>, nowMillis: number): Effect.Effect<void> => {
      const failure = Option.getOrUndefined(Cause.failureOption(cause))
      const consecutiveFailures = status.consecutiveFailures + 1
      status = { ...status, consecutiveFailures, lastFailure: failure?.cause.reason }
      // Between two readings of the wall clock: one that was set back must not make it silent.
      if (Math.abs(nowMillis - warnedAtMillis) < warnEveryMillis) return Effect.void
      warnedAtMillis = nowMillis
      const repeated = consecutiveFailures > 1 ? ` (failed ${consecutiveFailures} times in a row)` : ""
      const line = `${summaryOf(batch, failure?.report)}${repeated}`
      // A defect is a mistake in a storage: only its cause shows where.
      return failure === undefined
        ? Effect.logWarning(`${line}: unexpected defect`, cause).pipe(Effect.annotateLogs("code", "Defect"))
        : Effect.logWarning(`${line}: ${failure.cause.message}`).pipe(Effect.annotateLogs("code", failure.cause.reason))
    }
  }
}

type Journal = ReturnType<typeof makeJournal>

const logFlushed = (batch: FlushBatch.FlushBatch, report: FlushReport): Effect.Effect<void> =>
  Effect.logDebug(summaryOf(batch, report)).pipe(
    Effect.annotateLogs({
      code: "PresenceFlushed",
      chunks: report.chunkCount,
      missing: report.missing.length,
      superseded: report.superseded.length,
      deferred: report.deferred?.length ?? 0,
      elsewhere: report.elsewhere?.length ?? 0
    })
  )

/** One line for the rows of a flush that the database refuses themselves. */
const logRefused = (label: Label, refused: ReadonlyArray<RefusedEntry>): Effect.Effect<void> => {
  const [first] = refused
  if (first === undefined) return Effect.void
  const others = refused.length === 1 ? "" : ` and ${refused.length - 1} more rows`
  return Effect.zipRight(
    Metric.incrementBy(label(PresenceMetrics.refused), refused.length),
    Effect.logWarning(
      `the database refuses ${first.kind} ${first.id}${others}, tried again later: ${first.cause.message}`
    ).pipe(Effect.annotateLogs({ code: "PresenceRowRefused", rows: refused.length }))
  )
}

const failureOf = (exit: Exit.Exit<FlushReport, FlushFailed>): FlushFailed | undefined =>
  Exit.isSuccess(exit) ? undefined : Option.getOrUndefined(Cause.failureOption(exit.cause))

/** Runs a flush, and records its outcome in the journal and the metrics. */
const observed = (
  journal: Journal,
  batch: FlushBatch.FlushBatch,
  self: Effect.Effect<FlushReport, FlushFailed>
): Effect.Effect<FlushReport, FlushFailed> =>
  Effect.gen(function* () {
    const [duration, exit] = yield* Effect.timed(Effect.exit(self))
    yield* Metric.update(journal.label(PresenceMetrics.flushSeconds), Duration.toSeconds(duration))
    yield* Metric.update(journal.label(PresenceMetrics.flushRows), batch.entries.length)
    const deferred = (Exit.isSuccess(exit) ? exit.value : failureOf(exit)?.report)?.deferred?.length ?? 0
    if (deferred > 0) yield* Metric.incrementBy(journal.label(PresenceMetrics.deferred), deferred)
    if (Exit.isSuccess(exit)) {
      yield* logFlushed(batch, exit.value)
    } else {
      yield* Metric.increment(journal.label(PresenceMetrics.flushFailures(failureOf(exit)?.cause.reason ?? "Defect")))
      yield* journal.failed(batch, exit.cause, yield* Clock.currentTimeMillis)
    }
    return yield* exit
  }).pipe(
    Effect.onInterrupt(() => Metric.increment(journal.label(PresenceMetrics.flushFailures("Interrupted")))),
    withKeptSpan("presence.flush", { attributes: { rows: batch.entries.length } })
  )

/** What was counted plainly since the last tick becomes metrics now. */
const publish = (registry: PresenceRegistry["Type"], label: Label): Effect.Effect<void> =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const counts = registry.takeCounts()
    const oldest = registry.oldestPendingMillis()
    for (const kind of registry.kinds) {
      yield* Metric.set(label(PresenceMetrics.tracked(kind)), registry.trackedCount(kind))
      yield* Metric.set(label(PresenceMetrics.pending(kind)), registry.pendingCount(kind))
    }
    yield* Metric.set(label(PresenceMetrics.parked), registry.parkedCount())
    const waited = oldest === undefined ? 0 : Math.max(0, now - oldest)
    yield* Metric.set(label(PresenceMetrics.oldestPendingSeconds), waited / 1000)
    if (counts.coalesced > 0) yield* Metric.incrementBy(label(PresenceMetrics.coalesced), counts.coalesced)
    for (const reason of rejections) {
      const count = counts.rejected[reason]
      if (count > 0) yield* Metric.incrementBy(label(PresenceMetrics.rejected(reason)), count)
    }
  })

/** Takes rows, writes them, and acknowledges or requeues them, also when it is interrupted: no row is lost. */
const makeFlush = (
  registry: PresenceRegistry["Type"],
  storage: PresenceStorage["Type"],
  journal: Journal,
  onTransitions: FlusherOptions["onTransitions"]
) => {
  const settle = (report: FlushReport, nowMillis: number): Effect.Effect<void> => {
    const transitions = registry.confirm(report, nowMillis)
    return transitions.length === 0 || onTransitions === undefined ? Effect.void : onTransitions(transitions)
  }
  const release = (batch: FlushBatch.FlushBatch, exit: Exit.Exit<FlushReport, FlushFailed>) =>
    Effect.flatMap(Clock.currentTimeMillis, (nowMillis) => {
      const report = Exit.isSuccess(exit) ? exit.value : (failureOf(exit)?.report ?? emptyReport)
      const told = settle(report, nowMillis)
      registry.giveBack(unaccounted(batch, report))
      if (report.refused === undefined || report.refused.length === 0) return told
      registry.park(FlushBatch.make(report.refused), nowMillis)
      return Effect.zipRight(told, logRefused(journal.label, report.refused))
    })
  // An interruption between taking and writing would lose the batch, so the release is registered in the same step.
  return (take: () => FlushBatch.FlushBatch, lane: Lane.Lane): Effect.Effect<FlushReport, FlushFailed> =>
    Effect.acquireUseRelease(
      Effect.sync(take),
      (batch) =>
        batch.entries.length === 0 ? Effect.succeed(emptyReport) : observed(journal, batch, storage.flush(batch, lane)),
      release
    )
}

/**
 * Starts the fiber in the scope. A tick runs one interval after the first report since the last tick: while nothing is
 * reported, nothing wakes up. The last one runs when the scope closes.
 *
 * **Details**
 *
 * - A row that carries the mark of its replica and comes online or connects makes the tick come after a second: until
 *   then the replica where it was before may show it offline.
 * - A tick takes, writes and acknowledges 2 000 rows at a time, so that many rows do not block the event loop.
 * - A tick that runs when the scope closes ends first, within `drainTimeout`; then the last flush is tried again until
 *   it succeeds or the time is over. What stays pending then is counted in the log.
 * - Never fails: a flush that fails keeps its entries, and newer signs of life replace them.
 * - A row that the database refuses is tried again after a minute, then less and less often, and holds up no other.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: FlusherOptions
): Effect.Effect<PresenceFlusher["Type"], never, PresenceRegistry | PresenceStorage | Scope.Scope> =>
  Effect.gen(function* () {
    const registry = yield* PresenceRegistry
    const storage = yield* PresenceStorage
    const interval = Duration.decode(options.interval)
    const drainTimeout = Duration.decode(options.drainTimeout)
    const lane = options.lane ?? Lane.presence
    const label = labelled(yield* DatabaseName)
    const journal = makeJournal(label)
    const flush = makeFlush(registry, storage, journal, options.onTransitions)
    // Its own journal: the success of a single row does not mean that ticks succeed.
    const flushOne = makeFlush(registry, storage, makeJournal(label), options.onTransitions)
    const gate = yield* Effect.makeSemaphore(1)
    // A caller may run on another clock than presence does.
    const onClock = Effect.withClock(yield* Effect.clock)

    const flushAll = Effect.gen(function* () {
      registry.reported.unsafeClose()
      registry.claimed.unsafeClose()
      registry.unpark(yield* Clock.currentTimeMillis)
      const order = yield* registry.order
      while ((yield* flush(() => registry.takeNext(order, takeRows), lane)) !== emptyReport) yield* pause
      yield* journal.succeeded(yield* Clock.currentTimeMillis)
    }).pipe(gate.withPermits(1), onClock)

    // Defects too: a broken store must not end the fiber that repairs what it left.
    const tick = flushAll.pipe(
      Effect.catchAllCause(() => Effect.void),
      Effect.zipRight(onClock(publish(registry, label)))
    )
    const hasWork = Effect.suspend(() =>
      registry.pendingCount() + registry.parkedCount() > 0 ? Effect.void : registry.reported.await
    )

    // Until its mark is written, the replica where a row was before may show it offline.
    const soon = Effect.zipRight(registry.claimed.await, Effect.sleep(Duration.min(interval, claimDelay)))
    const due = Effect.raceFirst(Effect.sleep(interval), soon)
    yield* Effect.forkScoped(Effect.forever(hasWork.pipe(Effect.zipRight(due), Effect.zipRight(tick))))
    // Registered after the fiber, so it runs before the fiber is stopped: a tick under way may end.
    yield* Effect.addFinalizer(() => drain(registry, flushAll, drainTimeout, label))

    return PresenceFlusher.of({
      tick,
      flushKey: (key, keyLane) =>
        flushOne(() => registry.takeKey(key), keyLane).pipe(
          Effect.catchAllCause(() => Effect.void),
          Effect.asVoid,
          onClock
        ),
      status: journal.status
    })
  })

/**
 * The last flush, as often as it takes, until the time is over. A row whose end is under way is written after it, and
 * one that another transaction holds once that has ended.
 */
const drain = (
  registry: PresenceRegistry["Type"],
  flushAll: Effect.Effect<void, FlushFailed>,
  timeout: Duration.Duration,
  label: Label
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const again = Schedule.spaced("50 millis")
    const lastFlush = flushAll.pipe(
      Effect.retry({ schedule: again, while: (error) => error.cause.isRetryable }),
      Effect.repeat({ schedule: again, while: () => registry.pendingCount() > 0 }),
      Effect.catchAllCause(() => Effect.void)
    )
    // Finalizers are uninterruptible; without `interruptible` the timeout would wait for the flush. `interruptible`
    // must be inside the timeout: around it, an already interrupted fiber would skip the flush.
    yield* lastFlush.pipe(Effect.interruptible, Effect.timeoutOption(timeout))
    yield* publish(registry, label)
    const pending = registry.pendingCount() + registry.parkedCount()
    if (pending === 0) return
    yield* Effect.logWarning(`${pending} presence rows stayed pending at shutdown`).pipe(
      Effect.annotateLogs({ code: "PresenceUndrained", pending })
    )
  })
