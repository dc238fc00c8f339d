/**
 * Time that jumps: an effect runs until nothing is left to do, then the clock moves to the next who sleeps.
 *
 * `TestClock` does the same and looks at every fiber, in real time, before each step: about 5 ms a step, where an hour
 * of the lab has more than a million. Here a step costs microseconds, because one scheduler runs every fiber of the
 * effect and knows when none is left. So nothing in the effect may wait for the outside.
 */
import { Clock, Duration, Effect, type Exit, Random, type Scheduler } from "effect"

interface Sleeper {
  readonly dueMillis: number
  wake: (() => void) | undefined
}

/** Where the first entry due later than `dueMillis` stands: who sleeps to the same instant wakes in order. */
const placeFor = (sleepers: ReadonlyArray<Sleeper>, dueMillis: number, from: number): number => {
  let low = from
  let high = sleepers.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sleepers[middle]?.dueMillis ?? Infinity) <= dueMillis) low = middle + 1
    else high = middle
  }
  return low
}

/** Ready work in the order in which it became ready. */
const makeScheduler = () => {
  let ready: Array<() => void> = []
  const scheduler: Scheduler.Scheduler = {
    scheduleTask: (task) => void ready.push(task),
    shouldYield: () => false
  }
  return {
    scheduler,
    runAll: () => {
      while (ready.length > 0) {
        const tasks = ready
        ready = []
        for (const task of tasks) task()
      }
    }
  }
}

const makeClock = (startMillis: number) => {
  let nowMillis = startMillis
  let sleepers: Array<Sleeper> = []
  // Those before it are awake. Cut off now and then: to shift an array at every step would copy it at every step.
  let next = 0
  const clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => Math.trunc(nowMillis),
    unsafeCurrentTimeNanos: () => BigInt(Math.round(nowMillis * 1e6)),
    currentTimeMillis: Effect.sync(() => Math.trunc(nowMillis)),
    currentTimeNanos: Effect.sync(() => BigInt(Math.round(nowMillis * 1e6))),
    sleep: (duration) =>
      Effect.async<void>((resume) => {
        const sleeper: Sleeper = { dueMillis: nowMillis + Duration.toMillis(duration), wake: () => resume(Effect.void) }
        sleepers.splice(placeFor(sleepers, sleeper.dueMillis, next), 0, sleeper)
        return Effect.sync(() => void (sleeper.wake = undefined))
      })
  }
  return {
    clock,
    /** Wakes the next sleeper; says whether there was one. */
    step: (): boolean => {
      const sleeper = sleepers[next]
      if (sleeper === undefined) return false
      if (++next > 10_000) {
        sleepers = sleepers.slice(next)
        next = 0
      }
      if (sleeper.wake === undefined) return true
      nowMillis = Math.max(nowMillis, sleeper.dueMillis)
      sleeper.wake()
      return true
    },
    now: () => nowMillis
  }
}

export interface VirtualOptions {
  readonly seed: number
  readonly startMillis: number
  /** Told now and then how far virtual time has come. */
  readonly onProgress?: (elapsedMillis: number) => void
}

/** Real time between two looks at the rest of the world. */
const breatheMillis = 50

/**
 * Runs the effect to its end. Dies when everything in it waits and nobody sleeps: that wait would never end.
 */
export const run = <A, E>(self: Effect.Effect<A, E>, options: VirtualOptions): Effect.Effect<A, E> =>
  Effect.async((resume) => {
    const { runAll, scheduler } = makeScheduler()
    const { clock, now, step } = makeClock(options.startMillis)
    const fiber = Effect.runFork(
      self.pipe(
        Effect.withClock(clock),
        Effect.withRandom(Random.make(options.seed)),
        Effect.withScheduler(scheduler),
        Effect.withTracerEnabled(false)
      ),
      { scheduler }
    )
    let exit: Exit.Exit<A, E> | undefined
    fiber.addObserver((ended) => (exit = ended))
    let isLeft = false
    const advance = () => {
      const until = performance.now() + breatheMillis
      const isDue = () => exit === undefined && performance.now() < until
      while (isDue()) {
        runAll()
        if (exit === undefined && !step()) {
          isLeft = true
          resume(Effect.dieMessage("everything waits, and nobody sleeps: virtual time has nowhere to go"))
          return
        }
      }
      if (exit !== undefined) return resume(exit)
      if (isLeft) return
      options.onProgress?.(now() - options.startMillis)
      setImmediate(advance)
    }
    advance()
    return Effect.sync(() => void (isLeft = true))
  })
