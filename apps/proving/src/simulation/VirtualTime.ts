/**
 * The time of a simulation, and the order in which its fibers run.
 *
 * Not `TestClock`, for two reasons: that one moves the wall clock and the monotonic one together, while a clock that is
 * set moves the first alone; and it waits for a real timer at each wake-up, which would cost a thousand times what the
 * simulated work does. A process that dies takes its fibers and timers with it, so every life has a clock of its own.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scheduler from "effect/Scheduler"
import { defaultShouldYield } from "effect/Scheduler"
import type { Dice } from "./Dice.ts"

interface Timer {
  readonly dueMillis: number
  readonly order: number
  readonly life: Life | undefined
  readonly fire: () => void
}

/** Fibers that may follow each other without time passing. More is a loop that never ends. */
const turnLimit = 1_000_000

/** What the fibers of one process run on. */
export class Life {
  isOver = false
  readonly clock: Clock.Clock
  readonly scheduler: Scheduler.Scheduler

  constructor(time: VirtualTime) {
    const currentTimeMillis = Effect.sync(() => time.wallMillis())
    const currentTimeNanos = Effect.sync(() => time.elapsedNanos())
    this.clock = {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      unsafeCurrentTimeMillis: () => time.wallMillis(),
      unsafeCurrentTimeNanos: () => time.elapsedNanos(),
      currentTimeMillis,
      currentTimeNanos,
      sleep: (duration) =>
        Effect.async<void>((resume) => {
          const cancel = time.after(Duration.toMillis(duration), () => resume(Effect.void), this)
          return Effect.sync(cancel)
        })
    }
    this.scheduler = {
      shouldYield: defaultShouldYield,
      scheduleTask: (task) => time.enqueue(task, this)
    }
  }
}

export class VirtualTime {
  private elapsed = 0
  private order = 0
  private timers: Array<Timer> = []
  private tasks: Array<{ readonly task: () => void; readonly life: Life }> = []
  private wallStart = 1_800_000_000_000
  /** Called whenever all fibers wait. */
  onQuiet: () => void = () => undefined
  private readonly dice: Dice
  private readonly isShuffled: boolean

  /** `isShuffled`: fibers that could run run in any order, and timers of one instant are one turn. */
  constructor(dice: Dice, isShuffled: boolean) {
    this.dice = dice
    this.isShuffled = isShuffled
  }

  /** Monotonic milliseconds since the simulation began. */
  elapsedMillis(): number {
    return this.elapsed
  }
  elapsedNanos(): bigint {
    return BigInt(Math.round(this.elapsed * 1_000_000))
  }
  wallMillis(): number {
    return this.wallStart + Math.floor(this.elapsed)
  }

  /** Somebody sets the wall clock. */
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
    const timer = { dueMillis: this.elapsed + Math.max(0, millis), order: this.order++, life, fire }
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
    if (!life.isOver) this.tasks.push({ task, life })
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
    while (true) {
      const first = this.timers[0]
      if (first === undefined || first.dueMillis > untilMillis) break
      this.elapsed = Math.max(this.elapsed, first.dueMillis)
      this.timers.shift()
      first.fire()
      if (this.isShuffled && this.dice.chance(0.5)) this.fireAll(first.dueMillis)
      this.turn()
    }
    this.elapsed = Math.max(this.elapsed, untilMillis)
  }

  /** The other timers of this instant, before any fiber runs. */
  private fireAll(dueMillis: number): void {
    while (this.timers[0]?.dueMillis === dueMillis) this.timers.shift()?.fire()
  }

  /** Lets every fiber run until all of them wait. */
  private turn(): void {
    for (let count = 0; this.tasks.length > 0; count++) {
      if (count > turnLimit) throw new Error("fibers keep running and no time passes")
      const isOutOfTurn = this.isShuffled && this.tasks.length > 1 && this.dice.chance(0.3)
      const [next] = this.tasks.splice(isOutOfTurn ? this.dice.whole(0, this.tasks.length - 1) : 0, 1)
      next?.task()
    }
    this.onQuiet()
  }
}
