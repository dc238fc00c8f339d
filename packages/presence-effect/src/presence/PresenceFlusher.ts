/**
 * The fiber that turns what changed since the last tick into one write.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as FlushBatch from "./FlushBatch.ts"
import type * as Lane from "../writer/Lane.ts"
import type { PresenceKey } from "./PresenceKey.ts"
import * as PresenceMetrics from "./PresenceMetrics.ts"
import type { Rejection, Transition } from "./PresenceRegistry.ts"
import { PresenceRegistry } from "./PresenceRegistry.ts"
import type { FlushFailed, FlushReport } from "./PresenceStorage.ts"
import { emptyReport, PresenceStorage } from "./PresenceStorage.ts"
import type { WriterError } from "../writer/WriterError.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface FlusherOptions {
  /** Time between the end of one tick and the start of the next. */
  readonly interval: Duration.DurationInput
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
  /** Epoch ms of the last flush that wrote everything it took, or found nothing to write. */
  readonly lastFlushMillis: number | undefined
  readonly consecutiveFailures: number
  /** Tag of the newest failure since that flush. */
  readonly lastFailure: WriterError["_tag"] | undefined
}

/**
 * @category services
 * @since 0.1.0
 */
export class PresenceFlusher extends Context.Tag("presence-effect/presence/PresenceFlusher")<
  PresenceFlusher,
  {
    /** Flushes everything that waits. Never fails, never overlaps itself: what was not written waits for the next. */
    readonly tick: Effect.Effect<void>
    /** Flushes one row at once, on the terms of `lane`. Never fails: what was not written waits for the next tick. */
    readonly flushKey: (key: PresenceKey, lane: Lane.Lane) => Effect.Effect<void>
    readonly status: Effect.Effect<FlusherStatus>
  }
>() {}

/** While the database refuses, one line a minute says so. */
const warnEveryMillis = 60_000

/** No second try can help: the drain does not wait for these. */
const hopeless: ReadonlySet<WriterError["_tag"]> = new Set([
  "WriterClosed",
  "ConnectionGone",
  "DatabaseCorrupt",
  "DatabaseMoved",
  "DatabaseReadonly",
  "WriteRejected"
])

const rejections: ReadonlyArray<Rejection> = ["invalid", "ancient", "ended", "foreign", "full"]

const nameOf = (key: PresenceKey): string => `${key.kind}:${key.id}`

/** What the report does not account for: it may not be in the database. */
const unaccounted = (batch: FlushBatch.FlushBatch, report: FlushReport): FlushBatch.FlushBatch => {
  const parts = [report.written, report.overtaken, report.missing]
  if (parts.reduce((count, { length }) => count + length, 0) === batch.entries.length) return FlushBatch.empty
  const accounted = new Set<string>()
  for (const part of parts) {
    for (const entry of part) accounted.add(nameOf(entry))
  }
  return FlushBatch.make(batch.entries.filter((entry) => !accounted.has(nameOf(entry))))
}

const summaryOf = (batch: FlushBatch.FlushBatch, report: FlushReport | undefined): string => {
  const all = FlushBatch.countByKind(batch.entries)
  const done = FlushBatch.countByKind(report?.written ?? [])
  const part = (kind: "session" | "machine") => (all[kind] === 0 ? [] : [`${done[kind]}/${all[kind]} ${kind} updates`])
  return `Flushed ${[...part("session"), ...part("machine")].join(", ")}`
}

/** What is known about the flushes so far, and what the log says about the next. */
const makeJournal = () => {
  let status: FlusherStatus = { lastFlushMillis: undefined, consecutiveFailures: 0, lastFailure: undefined }
  let warnedAtMillis = Number.NEGATIVE_INFINITY
  const done = (nowMillis: number): void => {
    status = { lastFlushMillis: nowMillis, consecutiveFailures: 0, lastFailure: undefined }
    warnedAtMillis = Number.NEGATIVE_INFINITY
  }
  return {
    status: Effect.sync(() => status),
    done,
    succeeded: (batch: FlushBatch.FlushBatch, report: FlushReport, nowMillis: number) =>
      Effect.gen(function* () {
        const failures = status.consecutiveFailures
        done(nowMillis)
        const { chunkCount: chunks, missing, overtaken } = report
        yield* Effect.logDebug(summaryOf(batch, report)).pipe(
          Effect.annotateLogs({
            code: "PresenceFlushed",
            chunks,
            missing: missing.length,
            overtaken: overtaken.length
          })
        )
        if (failures === 0) return
        yield* Effect.logInfo(`presence is written again after ${failures} failed flushes`).pipe(
          Effect.annotateLogs("code", "PresenceFlushRecovered")
        )
      }),
    failed: (batch: FlushBatch.FlushBatch, failure: FlushFailed | undefined, nowMillis: number) =>
      Effect.suspend(() => {
        const consecutiveFailures = status.consecutiveFailures + 1
        status = { ...status, consecutiveFailures, lastFailure: failure?.cause._tag }
        // Between two readings of the wall clock: one that was set back must not make it silent.
        if (Math.abs(nowMillis - warnedAtMillis) < warnEveryMillis) return Effect.void
        warnedAtMillis = nowMillis
        const repeated = consecutiveFailures > 1 ? ` (failed ${consecutiveFailures} times in a row)` : ""
        const why = failure?.cause.message ?? "unexpected defect"
        return Effect.logWarning(`${summaryOf(batch, failure?.report)}${repeated}: ${why}`).pipe(
          Effect.annotateLogs("code", failure?.cause._tag ?? "Defect")
        )
      })
  }
}

type Journal = ReturnType<typeof makeJournal>

const failureOf = (exit: Exit.Exit<FlushReport, FlushFailed>): FlushFailed | undefined =>
  Exit.isSuccess(exit) ? undefined : Option.getOrUndefined(Cause.failureOption(exit.cause))

/** Runs a flush, and tells the journal and the metrics how it went. */
const observed = (
  journal: Journal,
  batch: FlushBatch.FlushBatch,
  self: Effect.Effect<FlushReport, FlushFailed>
): Effect.Effect<FlushReport, FlushFailed> =>
  Effect.gen(function* () {
    const [duration, exit] = yield* Effect.timed(Effect.exit(self))
    const now = yield* Clock.currentTimeMillis
    yield* Metric.update(PresenceMetrics.flushSeconds, Duration.toSeconds(duration))
    yield* Metric.update(PresenceMetrics.flushRows, batch.entries.length)
    if (Exit.isSuccess(exit)) {
      yield* journal.succeeded(batch, exit.value, now)
    } else {
      const failure = failureOf(exit)
      yield* Metric.increment(PresenceMetrics.flushFailures(failure?.cause._tag ?? "Defect"))
      yield* journal.failed(batch, failure, now)
    }
    return yield* exit
  }).pipe(
    Effect.onInterrupt(() => Metric.increment(PresenceMetrics.flushFailures("Interrupted"))),
    Effect.withSpan("presence.flush", { attributes: { rows: batch.entries.length } })
  )

/** What was counted plainly since the last tick becomes metrics now. */
const publish = (registry: PresenceRegistry["Type"]): Effect.Effect<void> =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const counts = registry.takeCounts()
    const oldest = registry.oldestPendingMillis()
    for (const kind of ["session", "machine"] as const) {
      yield* Metric.set(PresenceMetrics.tracked(kind), registry.trackedCount(kind))
      yield* Metric.set(PresenceMetrics.pending(kind), registry.pendingCount(kind))
    }
    yield* Metric.set(PresenceMetrics.oldestPendingSeconds, oldest === undefined ? 0 : Math.max(0, now - oldest) / 1000)
    if (counts.coalesced > 0) yield* Metric.incrementBy(PresenceMetrics.coalesced, counts.coalesced)
    for (const reason of rejections) {
      const count = counts.rejected[reason]
      if (count > 0) yield* Metric.incrementBy(PresenceMetrics.rejected(reason), count)
    }
  })

/** Takes, writes, and confirms or gives back: whatever happens in between, nothing is lost. */
const makeFlush = (
  registry: PresenceRegistry["Type"],
  storage: PresenceStorage["Type"],
  journal: Journal,
  onTransitions: FlusherOptions["onTransitions"]
) => {
  const settle = (report: FlushReport): Effect.Effect<void> => {
    const transitions = registry.confirm(report)
    return transitions.length === 0 || onTransitions === undefined ? Effect.void : onTransitions(transitions)
  }
  const release = (batch: FlushBatch.FlushBatch, exit: Exit.Exit<FlushReport, FlushFailed>) =>
    Effect.suspend(() => {
      const report = Exit.isSuccess(exit) ? exit.value : (failureOf(exit)?.report ?? emptyReport)
      const told = settle(report)
      registry.giveBack(unaccounted(batch, report))
      return told
    })
  // An interruption between taking and writing would lose the batch, so taking is promised back in the same step.
  return (take: () => FlushBatch.FlushBatch, lane?: Lane.Lane): Effect.Effect<FlushReport, FlushFailed> =>
    Effect.acquireUseRelease(
      Effect.sync(take),
      (batch) =>
        batch.entries.length === 0 ? Effect.succeed(emptyReport) : observed(journal, batch, storage.flush(batch, lane)),
      release
    )
}

/**
 * Starts the fiber in the scope. The first tick runs one interval after the
 * start, the last one when the scope closes.
 *
 * **Details**
 *
 * - A tick that runs when the scope closes ends first, within `drainTimeout`; then the last flush is tried again until
 *   it succeeds or the time is over. What stays pending then is counted in the log.
 * - Fails never: a flush that fails keeps its entries, and newer signs of life replace them.
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
    const journal = makeJournal()
    const flush = makeFlush(registry, storage, journal, options.onTransitions)
    const gate = yield* Effect.makeSemaphore(1)

    const flushAll = Effect.gen(function* () {
      const report = yield* flush(() => registry.takeDirty())
      if (report === emptyReport) journal.done(yield* Clock.currentTimeMillis)
    }).pipe(gate.withPermits(1))

    // Defects too: a broken store must not end the fiber that repairs what it left.
    const tick = flushAll.pipe(
      Effect.catchAllCause(() => Effect.void),
      Effect.zipRight(publish(registry))
    )

    const lastFlush = flushAll.pipe(
      Effect.retry({
        schedule: Schedule.spaced("50 millis"),
        while: (error) => !hopeless.has(error.cause._tag)
      }),
      Effect.catchAllCause(() => Effect.void)
    )

    const drain = Effect.gen(function* () {
      // Finalizers are uninterruptible; without `interruptible` the timeout would wait for the flush. It stands inside:
      // outside, a fiber that was interrupted, which is how programs end, would not even begin to flush.
      yield* lastFlush.pipe(Effect.interruptible, Effect.timeoutOption(drainTimeout))
      yield* publish(registry)
      const pending = registry.pendingCount()
      if (pending === 0) return
      yield* Effect.logWarning(`${pending} presence rows stayed pending at shutdown`).pipe(
        Effect.annotateLogs({ code: "PresenceUndrained", pending })
      )
    })

    yield* Effect.forkScoped(Effect.schedule(tick, Schedule.spaced(interval)))
    // Registered after the fiber, so it runs before the fiber is stopped: a tick under way may end.
    yield* Effect.addFinalizer(() => drain)

    return PresenceFlusher.of({
      tick,
      flushKey: (key, lane) => flush(() => registry.takeKey(key), lane).pipe(Effect.catchAllCause(() => Effect.void)),
      status: journal.status
    })
  })

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: FlusherOptions
): Layer.Layer<PresenceFlusher, never, PresenceRegistry | PresenceStorage> =>
  Layer.scoped(PresenceFlusher, make(options))
