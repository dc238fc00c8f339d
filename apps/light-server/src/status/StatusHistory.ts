/** What the page shows of the last minutes: ticks, and the times that registrations and writes took. */
import { Clock, Context, Effect, Layer, Metric, type MetricState, Schedule } from "effect"
import { Presence } from "../entities/Presence.ts"
import * as PresenceMetrics from "presence-effect/presence/PresenceMetrics"
import type * as Lane from "presence-effect/writer/Lane"
import { Writer } from "presence-effect/writer/Writer"
import * as WriterMetrics from "presence-effect/writer/WriterMetrics"
import * as HttpMetrics from "../http/HttpMetrics.ts"
import * as HistogramWindow from "./HistogramWindow.ts"

/** One flush of presence. */
export interface Tick {
  /** Counts the ticks of this process. */
  readonly number: number
  readonly atMillis: number
  readonly durationMillis: number
  readonly rowCount: number
  readonly isWritten: boolean
}

/** Durations within the window, in seconds. `undefined`: there was none. */
export interface Durations {
  readonly count: number
  readonly median: number | undefined
  readonly p99: number | undefined
}

export class StatusHistory extends Context.Tag("light-server/StatusHistory")<
  StatusHistory,
  {
    /** Oldest first. */
    readonly ticks: () => ReadonlyArray<Tick>
    readonly registrations: () => Durations & { readonly failedCount: number }
    readonly lane: (lane: Lane.Lane) => { readonly wait: Durations; readonly hold: Durations }
  }
>() {}

export const tickCount = 60

/** How far back durations go. */
export const windowMillis = 300_000

const sampleEvery = "1 second"

const windowSteps = 30

const bucketsOf = (metric: Metric.Metric.Histogram<number>): Effect.Effect<HistogramWindow.Buckets> =>
  Effect.map(Metric.value(metric), ({ buckets, count }: MetricState.MetricState.Histogram) => ({ buckets, count }))

const registrationsWith = (status: string) =>
  HttpMetrics.requestSeconds.pipe(
    Metric.tagged("method", "POST"),
    Metric.tagged("route", "/v1/machines"),
    Metric.tagged("status", status)
  )

/** Statuses that the server is responsible for; 499 is a client that gave up. */
const failedStatuses = ["503", "500", "499"]

const registered = bucketsOf(registrationsWith("200"))

const failed = Effect.map(
  Effect.forEach(failedStatuses, (status) => bucketsOf(registrationsWith(status))),
  HistogramWindow.sum
)

/** The counts of a histogram now, and as they were at the beginning of the window. */
const makeWindow = (read: Effect.Effect<HistogramWindow.Buckets>) => {
  let current = HistogramWindow.empty
  const past: Array<HistogramWindow.Buckets> = []
  const counted = () => HistogramWindow.since(past[0] ?? HistogramWindow.empty, current)
  return {
    look: (isStep: boolean) =>
      Effect.map(read, (now) => {
        // What this process counted before the page began to look belongs to no window.
        if (past.length === 0) past.push(now)
        current = now
        if (!isStep) return
        past.push(now)
        if (past.length > windowSteps) past.shift()
      }),
    count: () => counted().count,
    durations: (): Durations => {
      const within = counted()
      return {
        count: within.count,
        median: HistogramWindow.quantile(within, 0.5),
        p99: HistogramWindow.quantile(within, 0.99)
      }
    }
  }
}

/** Notices flushes by what their histograms have counted since the last look. */
const makeTicks = (presence: Presence["Type"]) =>
  Effect.gen(function* () {
    const ticks: Array<Tick> = []
    const read = Effect.all({
      seconds: Metric.value(PresenceMetrics.flushSeconds),
      rows: Metric.value(PresenceMetrics.flushRows),
      status: presence.status,
      atMillis: Clock.currentTimeMillis
    })
    let before = yield* read
    const look = Effect.map(read, (now) => {
      const flushes = now.seconds.count - before.seconds.count
      if (flushes > 0) {
        ticks.push({
          number: (ticks.at(-1)?.number ?? 0) + 1,
          atMillis: now.atMillis,
          durationMillis: Math.round(((now.seconds.sum - before.seconds.sum) / flushes) * 1000),
          rowCount: now.rows.sum - before.rows.sum,
          isWritten: now.status.consecutiveFlushFailures === 0
        })
        if (ticks.length > tickCount) ticks.shift()
      }
      before = now
    })
    return { ticks, look }
  })

const make = Effect.gen(function* () {
  const writer = yield* Writer
  const { look, ticks } = yield* makeTicks(yield* Presence)
  const registrations = makeWindow(registered)
  const failures = makeWindow(failed)
  const lanes = new Map(
    writer.policy.lanes.map(({ lane }) => [
      lane,
      {
        wait: makeWindow(bucketsOf(WriterMetrics.waitSeconds(lane))),
        hold: makeWindow(bucketsOf(WriterMetrics.holdSeconds(lane)))
      }
    ])
  )
  const windows = [registrations, failures, ...Array.from(lanes.values(), ({ hold, wait }) => [hold, wait]).flat()]
  let stepAt = yield* Clock.currentTimeMillis
  const sample = Effect.gen(function* () {
    yield* look
    const now = yield* Clock.currentTimeMillis
    const isStep = Math.abs(now - stepAt) >= windowMillis / windowSteps
    if (isStep) stepAt = now
    for (const window of windows) yield* window.look(isStep)
  })
  yield* sample
  yield* Effect.forkScoped(Effect.schedule(sample, Schedule.spaced(sampleEvery)))
  const none: Durations = { count: 0, median: undefined, p99: undefined }
  return StatusHistory.of({
    ticks: () => ticks,
    registrations: () => ({ ...registrations.durations(), failedCount: failures.count() }),
    lane: (lane) => {
      const found = lanes.get(lane)
      return found === undefined
        ? { wait: none, hold: none }
        : { wait: found.wait.durations(), hold: found.hold.durations() }
    }
  })
})

export const layer: Layer.Layer<StatusHistory, never, Writer | Presence> = Layer.scoped(StatusHistory, make)
