/**
 * What a request cost: time of the event loop and bytes of its answer, measured
 * while it is answered and charged afterwards.
 */
import { Scheduler } from "effect"
import { performance } from "node:perf_hooks"

export interface CostMeter {
  /** Runs a piece of the request and adds the time it took. */
  readonly run: <A>(piece: () => A) => A
  /** Adds time that was spent for the request elsewhere, such as in a reader thread. */
  readonly addMillis: (millis: number) => void
  /** Adds bytes that are sent. */
  readonly addBytes: (bytes: number) => void
  /** Points beyond the one that every request costs. */
  readonly points: () => number
  /** Schedules the fibers of the request as the default scheduler does, and measures them. */
  readonly scheduler: Scheduler.Scheduler
}

/** What a cost is measured with, in milliseconds. */
export interface CostClock {
  readonly nowMillis: () => number
  /** Time that the processors spent on this process. */
  readonly busyMillis: () => number
}

/** Time that is not charged: what an ordinary request may take. */
export const freeMillis = 25

/** A point stands for one millisecond, or for this many bytes. */
export const bytesPerPoint = 65_536

/** Time that the processors spent on this process, in milliseconds. */
const processMillis = () => {
  const { system, user } = process.cpuUsage()
  return (system + user) / 1000
}

/**
 * `busyMillis` is the processor time of the process. A busy machine stops the
 * process in the middle of a piece; that time is not charged to the request.
 */
export const make = (
  clock: CostClock = {
    nowMillis: () => performance.now(),
    busyMillis: processMillis
  }
): CostMeter => {
  const busyBefore = clock.busyMillis()
  let millis = 0
  let elsewhereMillis = 0
  let bytes = 0
  let isRunning = false
  const run = <A>(piece: () => A): A => {
    // A piece may run another one before it ends.
    if (isRunning) return piece()
    isRunning = true
    const began = clock.nowMillis()
    try {
      return piece()
    } finally {
      isRunning = false
      millis += clock.nowMillis() - began
    }
  }
  const base = Scheduler.defaultScheduler
  return {
    run,
    addMillis: (spent) => {
      elsewhereMillis += spent
    },
    addBytes: (sent) => {
      bytes += sent
    },
    points: () => {
      const elapsed = millis + elsewhereMillis
      // The processor is asked for the few requests that took longer than what is free.
      const spent =
        elapsed <= freeMillis ? elapsed : Math.min(millis, clock.busyMillis() - busyBefore) + elsewhereMillis
      return (spent > freeMillis ? Math.floor(spent) : 0) + Math.floor(bytes / bytesPerPoint)
    },
    scheduler: {
      shouldYield: (fiber) => base.shouldYield(fiber),
      scheduleTask: (task, priority, fiber) => base.scheduleTask(() => run(task), priority, fiber)
    }
  }
}
