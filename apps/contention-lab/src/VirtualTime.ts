/**
 * Time that jumps: fibers run until nothing is left to do, then the clock moves to the next wake-up. The lab runs on
 * it, and the simulation of the library.
 *
 * Not `TestClock`, for three reasons: it looks at every fiber, in real time, before each step, which costs about 5 ms
 * where a step costs microseconds here; it moves the wall clock and the monotonic one together, while a clock that is
 * set moves the first alone; and it knows of one process. Nothing that runs here may wait for the outside.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type * as Scheduler from "effect/Scheduler"

interface Timer {
  readonly dueMillis: number
  readonly life: Life | undefined
  readonly fire: () => void
}

/** Chooses which of the ready fibers runs next. */
export interface Order {
  /** The place of the fiber that runs next, of so many that could. */
  readonly next: (count: number) => number
  /** Whether the timers of one instant all fire before any fiber runs. */
  readonly isTogether: () => boolean
}

/** Fibers and timers in the order in which they came. */
export const inOrder: Order = { next: () => 0, isTogether: () => false }

export interface TimeOptions {
  /** What the wall clock shows at the beginning. */
  readonly wallMillis: number
  readonly order?: Order
  /** Whether a fiber makes room for others after many operations. Never, unless given. */
  readonly shouldYield?: Scheduler.Scheduler["shouldYield"]
}

/** Fibers that may follow each other without time passing. More is a loop that never ends. */
const turnLimit = 1_000_000

/** What the fibers of one process run on. A process that dies takes its fibers and timers with it. */
export class Life {
  isOver = false
  /** What would run of a process that stands still. */
  held: Array<() => void> | undefined
  readonly clock: Clock.Clock
  readonly scheduler: Scheduler.Scheduler

  constructor(time: VirtualTime) {
    this.clock = {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      unsafeCurrentTimeMillis: () => time.wallMillis(),
      unsafeCurrentTimeNanos: () => time.elapsedNanos(),
      currentTimeMillis: Effect.sync(() => time.wallMillis()),
      currentTimeNanos: Effect.sync(() => time.elapsedNanos()),
      sleep: (duration) =>
        Effect.async<void>((resume) => {
          const cancel = time.after(Duration.toMillis(duration), () => resume(Effect.void), this)
          return Effect.sync(cancel)
        })
    }
    this.scheduler = { shouldYield: time.shouldYield, scheduleTask: (task) => time.enqueue(task, this) }
  }
}

export class VirtualTime {
  readonly shouldYield: Scheduler.Scheduler["shouldYield"]
  private elapsed = 0
  private timers: Array<Timer> = []
  private tasks: Array<{ readonly task: () => void; readonly life: Life }> = []
  private wallStart: number
  private readonly order: Order
  /** Called whenever all fibers wait. */
  onQuiet: () => void = () => undefined

  constructor({ order = inOrder, shouldYield = () => false, wallMillis }: TimeOptions) {
    this.order = order
    this.shouldYield = shouldYield
    this.wallStart = wallMillis
  }

  /** Monotonic milliseconds since the beginning. */
  elapsedMillis(): number {
    return this.elapsed
  }
  elapsedNanos(): bigint {
    return BigInt(Math.round(this.elapsed * 1_000_000))
  }
  wallMillis(): number {
    return this.wallStart + Math.floor(this.elapsed)
  }

  /** Sets the wall clock. */
  setWall(byMillis: number): void {
    this.wallStart += byMillis
  }

  /** The whole process stands still: what was due meanwhile is late. */
  pause(millis: number): void {
    this.elapsed += millis
  }

  /** Calls `fire` later, unless the life it belongs to ends before. Answers how to cancel it. */
  after(millis: number, fire: () => void, life?: Life): () => boolean {
    if (life?.isOver === true || !Number.isFinite(millis)) return () => false
    const timer = { dueMillis: this.elapsed + Math.max(0, millis), life, fire }
    let index = this.timers.length
    while (index > 0 && (this.timers[index - 1]?.dueMillis ?? 0) > timer.dueMillis) index--
    this.timers.splice(index, 0, timer)
    return () => {
      const found = this.timers.indexOf(timer)
      if (found >= 0) this.timers.splice(found, 1)
      return found >= 0
    }
  }

  enqueue(task: () => void, life: Life): void {
    if (life.isOver) return
    if (life.held === undefined) this.tasks.push({ task, life })
    else life.held.push(task)
  }

  /** The process stands still, while others go on. */
  suspend(life: Life): void {
    life.held ??= []
  }

  /** What was due meanwhile is late. */
  resume(life: Life): void {
    const held = life.held ?? []
    life.held = undefined
    for (const task of held) this.enqueue(task, life)
  }

  /** Nothing of the life happens any more. */
  end(life: Life): void {
    life.isOver = true
    this.timers = this.timers.filter((timer) => timer.life !== life)
    this.tasks = this.tasks.filter((task) => task.life !== life)
  }

  /** Timers and fibers that a life left behind. */
  leftovers(life: Life): number {
    return (
      this.timers.filter((timer) => timer.life === life).length + this.tasks.filter((task) => task.life === life).length
    )
  }

  runUntil(untilMillis: number): void {
    this.turn()
    while ((this.timers[0]?.dueMillis ?? Infinity) <= untilMillis) this.step()
    this.elapsed = Math.max(this.elapsed, untilMillis)
  }

  /** Moves to the next timer and lets every fiber run. Answers whether there was one. */
  step(): boolean {
    const first = this.timers.shift()
    if (first === undefined) return false
    this.elapsed = Math.max(this.elapsed, first.dueMillis)
    first.fire()
    if (this.order.isTogether()) this.fireAll(first.dueMillis)
    this.turn()
    return true
  }

  /** Lets every fiber run until all of them wait. */
  turn(): void {
    for (let count = 0; this.tasks.length > 0; count++) {
      if (count > turnLimit) throw new Error("fibers keep running and no time passes")
      const [next] = this.tasks.splice(this.order.next(this.tasks.length), 1)
      next?.task()
    }
    this.onQuiet()
  }

  /** The other timers of this instant, before any fiber runs. */
  private fireAll(dueMillis: number): void {
    while (this.timers[0]?.dueMillis === dueMillis) this.timers.shift()?.fire()
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
 * Runs the effect to its end. Dies when every fiber waits and none sleeps: that wait would never end.
 */
export const run = <A, E>(self: Effect.Effect<A, E>, options: VirtualOptions): Effect.Effect<A, E> =>
  Effect.async((resume) => {
    const time = new VirtualTime({ wallMillis: options.startMillis })
    const { clock, scheduler } = new Life(time)
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
      time.turn()
      while (isDue()) {
        if (time.step()) continue
        isLeft = true
        resume(Effect.dieMessage("everything waits, and nobody sleeps: virtual time has nowhere to go"))
        return
      }
      if (exit !== undefined) return resume(exit)
      if (isLeft) return
      options.onProgress?.(time.elapsedMillis())
      setImmediate(advance)
    }
    advance()
    return Effect.sync(() => void (isLeft = true))
  })
