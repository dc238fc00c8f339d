import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { Waiter } from "../LaneSemaphore.ts"
import type { EngineFault, EngineService, Fault, WriteAnswer } from "../Engine.ts"
import type { Durability } from "../Durability.ts"
import type { StatementResult, Write } from "../Write.ts"
import { stricter } from "../Durability.ts"
import type { WriterError } from "../WriterError.ts"
import { PermitTimeout, WriterClosed, WriteUnconfirmed } from "../WriterError.ts"
import type { ResolvedLane } from "../WriterPolicy.ts"
import type { Deadlines } from "./deadlines.ts"
import { toWriterError } from "./engineFailure.ts"
import type { Permits } from "./laneBulkhead.ts"
import type { WriterJournal } from "./writerJournal.ts"

/** What the engine did for one write, and how long it took. */
export interface Answered {
  readonly results: ReadonlyArray<StatementResult>
  /** Monotonic milliseconds of the grant. */
  readonly grantedAt: number
  readonly holdMillis: number
  readonly groupSize: number
}

type Settle = (outcome: Effect.Effect<Answered, WriterError>) => void

/** One try of one write: waits in its lane, is run, alone or with companions, and settles once. */
class Attempt implements Waiter {
  readonly isCompanion: boolean
  readonly enteredAt: number
  readonly turn: Effect.Effect<void>
  grantedAt = 0
  isGranted = false
  isSettled = false
  /** Takes back the limit of what it waits for now: of the permit, then of the answer. */
  cancelLimit: () => void = () => undefined
  onGranted: () => void = () => undefined

  constructor(
    readonly terms: ResolvedLane,
    readonly write: Write<unknown>,
    readonly attempts: number,
    private readonly resume: Settle,
    lead: (attempt: Attempt) => Effect.Effect<void>,
    now: number
  ) {
    this.isCompanion = terms.groupLimit > 1
    this.enteredAt = now
    // A step later than the grant, so that writes asked for in the same step share the commit.
    this.turn = Effect.suspend(() => {
      this.isGranted = true
      return Effect.zipRight(Effect.yieldNow(), lead(this))
    })
  }

  get lane() {
    return this.terms.lane
  }
  closed(): void {
    this.settle(Effect.fail(new WriterClosed({ lane: this.lane })))
  }
  settle(outcome: Effect.Effect<Answered, WriterError>): void {
    if (this.isSettled) return
    this.isSettled = true
    this.cancelLimit()
    this.resume(outcome)
  }
}

export interface Attempts {
  /**
   * Interruptible while it waits and while it runs: the caller leaves, the engine's work goes on. `onGranted` is called
   * with the grant of the permit, and must not throw.
   */
  readonly run: (
    terms: ResolvedLane,
    write: Write<unknown>,
    acquireMillis: number,
    attempts: number,
    onGranted: () => void
  ) => Effect.Effect<Answered, WriterError>
  /** Answers the callers of running writes with `WriteUnconfirmed`, because the writer closes. */
  readonly abandonRunning: () => void
}

/**
 * Two groups that lock the same rows in two orders end in a deadlock, where groups run side by side. Writes that name
 * no lock come last.
 */
const inLockOrder = (group: ReadonlyArray<Attempt>): ReadonlyArray<Attempt> => {
  if (group.length === 1 || group.every(({ write }) => write.lock === undefined)) return group
  const after = "\u{10ffff}"
  return group.toSorted((a, b) => {
    const [first, second] = [a.write.lock ?? after, b.write.lock ?? after]
    return first < second ? -1 : first > second ? 1 : 0
  })
}

export const make = (house: {
  readonly lanes: Permits
  readonly connection: Pick<EngineService, "run">
  readonly deadlines: Deadlines
  readonly journal: WriterJournal
}): Attempts => {
  const { connection, deadlines, journal, lanes } = house
  /** One group for each permit that is held. */
  const running = new Set<ReadonlyArray<Attempt>>()

  const unconfirmed = (attempt: Attempt, reason: WriteUnconfirmed["reason"]) => {
    // Most writes are answered long before their limit comes: they cost no error.
    if (attempt.isSettled) return
    const heldMillis = deadlines.now() - attempt.grantedAt
    attempt.settle(Effect.fail(new WriteUnconfirmed({ lane: attempt.lane, reason, heldMillis })))
  }

  const timedOut = (attempt: Attempt) => {
    if (!lanes.leave(attempt)) return
    attempt.settle(
      Effect.fail(new PermitTimeout({ lane: attempt.lane, waitedMillis: deadlines.now() - attempt.enteredAt }))
    )
  }

  const failWith = (attempt: Attempt, fault: Fault, heldMillis: number) => {
    const error = toWriterError(fault, { lane: attempt.lane, attempts: attempt.attempts, heldMillis })
    journal.failed(error)
    attempt.settle(Effect.fail(error))
  }

  const answer = (attempt: Attempt, answered: WriteAnswer | undefined, holdMillis: number, groupSize: number) => {
    if (answered === undefined) return unconfirmed(attempt, "connection-lost")
    if (answered._tag === "Failed") return failWith(attempt, answered.fault, holdMillis)
    journal.committed()
    const { grantedAt } = attempt
    return attempt.settle(Effect.succeed({ results: answered.results, grantedAt, holdMillis, groupSize }))
  }

  const settleGroup = (
    group: ReadonlyArray<Attempt>,
    exit: Exit.Exit<ReadonlyArray<WriteAnswer>, EngineFault>,
    holdMillis: number
  ) =>
    group.forEach((attempt, index) => {
      if (exit._tag === "Success") return answer(attempt, exit.value[index], holdMillis, group.length)
      const failure = Cause.failureOption(exit.cause)
      if (failure._tag === "Some") return failWith(attempt, failure.value, holdMillis)
      return attempt.settle(Effect.failCause(exit.cause as Cause.Cause<never>))
    })

  const durabilityOf = (group: ReadonlyArray<Attempt>): Durability =>
    group.reduce<Durability | undefined>(
      (strictest, { terms, write }) => stricter(strictest, write.durability ?? terms.durability),
      undefined
    ) ?? "power-loss"

  /** The turn of `leader`: it and the companions that wait behind it share one commit. */
  const turn = (leader: Attempt) =>
    Effect.suspend(() => {
      const companions = lanes
        .takeCompanions(leader.lane, leader.terms.groupLimit - 1)
        .filter((waiter): waiter is Attempt => waiter instanceof Attempt)
      // An attempt that settled before its turn was answered with "nothing written", so it must not run.
      const group = inLockOrder([leader, ...companions].filter(({ isSettled }) => !isSettled))
      const grantedAt = deadlines.now()
      for (const attempt of group) {
        attempt.grantedAt = grantedAt
        attempt.cancelLimit()
        attempt.onGranted()
        journal.waited(attempt.lane, grantedAt - attempt.enteredAt)
      }
      if (group.length === 0) return Effect.void
      running.add(group)
      journal.holding(leader.lane)
      const cancelLimit = deadlines.add(leader.terms.holdLimitMillis, () => {
        for (const attempt of group) unconfirmed(attempt, "hold-limit")
      })
      return connection
        .run(
          group.map(({ write }) => write.statements),
          durabilityOf(group),
          leader.terms.holdLimitMillis
        )
        .pipe(
          Effect.exit,
          Effect.map((exit) => {
            const holdMillis = deadlines.now() - grantedAt
            running.delete(group)
            cancelLimit()
            journal.held(leader.lane, holdMillis)
            settleGroup(group, exit, holdMillis)
          })
        )
    })

  return {
    run: (terms, write, acquireMillis, attempts, onGranted) =>
      Effect.async<Answered, WriterError>((resume) => {
        const attempt = new Attempt(terms, write, attempts, resume, turn, deadlines.now())
        attempt.onGranted = onGranted
        const refusal = lanes.enter(attempt)
        if (refusal !== undefined) return attempt.settle(Effect.fail(refusal))
        // Most writes find the permit free: they cost no entry in the heap.
        if (!attempt.isGranted) attempt.cancelLimit = deadlines.add(acquireMillis, () => timedOut(attempt))
        return Effect.sync(() => {
          attempt.isSettled = true
          attempt.cancelLimit()
          lanes.leave(attempt)
        })
      }),
    abandonRunning: () => {
      for (const group of running) for (const attempt of group) unconfirmed(attempt, "closed")
    }
  }
}
