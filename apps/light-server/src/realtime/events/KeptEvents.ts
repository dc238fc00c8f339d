/**
 * Events of one socket that contain a write: each waits for its predecessors of
 * the same name, and a write that cannot be done now keeps its place and is
 * tried again.
 */
import { Clock, Duration, Effect } from "effect"
import type { Failure } from "../../http/FailureTable.ts"
import { delayBefore, isPassing } from "../../http/PassingFailure.ts"
import { eventBytes, type Intake } from "../arrival/BackPressure.ts"
import * as Span from "../../tracing/Span.ts"
import { changeHeld, countEvent, countKept } from "../RealtimeMetrics.ts"
import type { RealtimeOptions } from "../RealtimeOptions.ts"
import * as EventDefect from "./EventDefect.ts"
import type { EventBudget } from "./EventBudget.ts"
import type { Handling } from "./EventRegistry.ts"
import type { Turn, TurnOf } from "./Succession.ts"

/** An event that waits for its turn. */
export interface KeptEvent {
  readonly handling: Handling
  readonly keep: NonNullable<Handling["keep"]>
  /** Of its payload. */
  readonly bytes: number
  /** `undefined`: the client did not ask for an ack. */
  readonly reply: ((value: unknown) => void) | undefined
  /** Answers that the event failed for good. */
  readonly refuse: () => void
  /** When it arrived, by `Clock`. */
  readonly arrivedAt: number
}

/** The data of the socket that sent the events. */
export interface KeptSocket {
  readonly run: (effect: Effect.Effect<void>) => void
  /** The budget that the sockets of the account share. */
  readonly accountBudget: EventBudget
  readonly intake: Intake
  /** Its client may have sent events over another socket before. */
  readonly turnOf: TurnOf
  readonly isOpen: () => boolean
  /** Closes the transport, so that the client comes back and repeats what was not answered. */
  readonly closeTransport: () => void
}

export interface KeptEvents {
  readonly add: (event: string, kept: KeptEvent) => void
}

type Patience = Pick<RealtimeOptions, "ackPatience" | "keepPatience" | "leftPatience">

/** The step after a temporary failure. */
type Step = "again" | "silent" | "closed" | "lost"

/**
 * The one rule for a temporary failure: it is never answered.
 *
 * - The client waits for no ack, or sends the event again under the same id:
 *   tried again until it is stored, within `keepPatience`, and for
 *   `leftPatience` after the socket has disconnected. After that, the event is
 *   lost if it has no ack; with one, its client sends it again.
 * - The client waits for the ack: tried again within `ackPatience` while it is
 *   connected. Then its transport is closed, or no answer is sent, whichever
 *   makes the client send it again.
 */
const makeRule = (options: Patience) => {
  const ackMillis = Duration.toMillis(options.ackPatience)
  const keepMillis = Duration.toMillis(options.keepPatience)
  const leftMillis = Duration.toMillis(options.leftPatience)
  return (kept: KeptEvent, nowMillis: number, leftAt: number | undefined): Step => {
    const waitedMillis = nowMillis - kept.arrivedAt
    const isOpen = leftAt === undefined
    const asksAck = kept.reply !== undefined
    if (!asksAck || (kept.keep.withoutAck === "silence" && kept.keep.isRepeatable)) {
      const isPatient = waitedMillis < keepMillis && (isOpen || nowMillis - leftAt < leftMillis)
      if (isPatient) return "again"
      return asksAck ? "silent" : "lost"
    }
    if (isOpen && waitedMillis < ackMillis) return "again"
    return kept.keep.withoutAck === "close" ? "closed" : "silent"
  }
}

const refuse = (event: string, kept: KeptEvent, failure: Failure) =>
  Effect.zipRight(
    Effect.annotateLogs(Effect.logWarning("An event was refused", failure), { code: failure._tag, event }),
    Effect.zipRight(
      Effect.annotateCurrentSpan("outcome", failure._tag),
      Effect.sync(() => {
        countEvent(event, "failed")
        kept.refuse()
      })
    )
  )

const makeHandler = (options: Patience, socket: KeptSocket) => {
  const rule = makeRule(options)
  let leftAt: number | undefined
  let isClosedByServer = false

  const giveUp = (event: string, step: Exclude<Step, "again">, failure: Failure) =>
    Effect.suspend(() => {
      countKept(event, step)
      if (step === "closed") {
        isClosedByServer = true
        socket.closeTransport()
      }
      const text = step === "lost" ? "An event could not be stored and is lost" : "An event could not be stored in time"
      return Effect.zipRight(
        Effect.annotateCurrentSpan("outcome", step),
        Effect.annotateLogs(Effect.logWarning(text, failure), {
          code: step === "lost" ? "EVENT_LOST" : failure._tag,
          event,
          outcome: step
        })
      )
    })

  /** The step after the failure of one attempt. `undefined`: it is tried again. */
  const judge = (event: string, kept: KeptEvent, failure: Failure, nowMillis: number) => {
    if (!isPassing(failure)) return refuse(event, kept, failure)
    if (!socket.isOpen()) leftAt ??= nowMillis
    const step = rule(kept, nowMillis, leftAt)
    return step === "again" ? undefined : giveUp(event, step, failure)
  }

  const again = (event: string, kept: KeptEvent, first: Failure) =>
    Effect.gen(function* () {
      let failure = first
      for (let attempt = 0; ; attempt++) {
        yield* delayBefore(attempt)
        const outcome = yield* Effect.either(kept.handling.attempt)
        if (outcome._tag === "Right") {
          countKept(event, "stored")
          return kept.reply?.(outcome.right)
        }
        failure = outcome.left
        const end = judge(event, kept, failure, yield* Clock.currentTimeMillis)
        if (end === undefined) continue
        if (!isPassing(failure)) countKept(event, "refused")
        return yield* end
      }
    })

  return (event: string, kept: KeptEvent): Effect.Effect<void> =>
    Effect.gen(function* () {
      // Its client sends it again over the next transport, where it must not meet this attempt.
      if (isClosedByServer && kept.reply !== undefined && kept.keep.withoutAck === "close") {
        return countKept(event, "closed")
      }
      const outcome = yield* Effect.either(kept.handling.attempt)
      if (outcome._tag === "Right") return kept.reply?.(outcome.right)
      const end = judge(event, kept, outcome.left, yield* Clock.currentTimeMillis)
      if (end !== undefined) return yield* end
      changeHeld(1)
      yield* Effect.ensuring(
        again(event, kept, outcome.left),
        Effect.sync(() => changeHeld(-1))
      )
    }).pipe(Span.within(`event ${event}`, { event }), EventDefect.caught(event, kept.refuse))
}

/** The waiting events, the first one first. */
interface Queue {
  readonly events: Array<KeptEvent>
  readonly turn: Turn
}

/** The largest number of events, and of bytes, in one write: it must not hold the writer long. */
const batchLimit = 32
const batchBytesMax = 128 * 1024

/** The first of the waiting events, as many as one write may store. */
const batchOf = (queue: ReadonlyArray<KeptEvent>): ReadonlyArray<KeptEvent> => {
  const [first] = queue
  if (first?.keep.attemptAll === undefined) return queue.slice(0, 1)
  let bytes = 0
  const batch: Array<KeptEvent> = []
  for (const kept of queue) {
    bytes += kept.bytes
    if (batch.length > 0 && (batch.length >= batchLimit || bytes > batchBytesMax)) break
    batch.push(kept)
  }
  return batch
}

/** Stores several at once and answers them; `false` when none is stored, for whatever reason. */
const storeAll = (event: string, batch: ReadonlyArray<KeptEvent>): Effect.Effect<boolean> => {
  const attemptAll = batch[0]?.keep.attemptAll
  if (attemptAll === undefined) return Effect.succeed(false)
  return attemptAll(batch.map(({ handling }) => handling)).pipe(
    Span.within(`event ${event}`, { event, batch_size: batch.length }),
    Effect.map((acks) => {
      for (const [index, { reply }] of batch.entries()) reply?.(acks[index])
      return true
    }),
    // The single attempts show what is wrong.
    Effect.catchAllCause((cause) =>
      Effect.as(Effect.annotateLogs(Effect.logDebug("Events are stored one by one", cause), { event }), false)
    )
  )
}

/** Waits until the budget of the account allows this many more writes. The events are then late, not refused. */
const paced = (budget: EventBudget, count: number): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (;;) {
      const nowMillis = yield* Clock.currentTimeMillis
      if (budget.take(nowMillis, count)) return
      yield* Effect.sleep(budget.waitMillis(count))
    }
  })

/**
 * Creates the queues of one socket. They are limited in bytes by the
 * back-pressure of `intake`, not in number.
 *
 * When the server stops, what waits without an ack is counted and logged as lost;
 * the other clients send theirs to the next process.
 */
export const make = (options: Patience, socket: KeptSocket): KeptEvents => {
  const handle = makeHandler(options, socket)
  const queues = new Map<string, Queue>()

  const done = ({ events }: Queue) => {
    const kept = events.shift()
    if (kept !== undefined) socket.intake.remove(kept.bytes + eventBytes)
  }

  const end = (event: string, { turn }: Queue) => {
    queues.delete(event)
    turn.end()
  }

  const abandon = (event: string, queue: Queue) =>
    Effect.suspend(() => {
      const lostCount = queue.events.filter(({ reply }) => reply === undefined).length
      while (queue.events.length > 0) done(queue)
      end(event, queue)
      if (lostCount === 0) return Effect.void
      countKept(event, "lost", lostCount)
      return Effect.annotateLogs(Effect.logWarning(`The server stopped before ${lostCount} events were stored`), {
        code: "EVENT_LOST",
        event
      })
    })

  const work = (event: string, queue: Queue) =>
    Effect.gen(function* () {
      const { events } = queue
      yield* queue.turn.begins
      /** Events of a failed batch are handled one by one before the next batch. */
      let aloneCount = 0
      for (let kept = events[0]; kept !== undefined; kept = events[0]) {
        const batch = aloneCount > 0 ? [kept] : batchOf(events)
        yield* paced(socket.accountBudget, batch.length)
        const isStored = batch.length > 1 && (yield* storeAll(event, batch))
        if (isStored) for (const _ of batch) done(queue)
        else {
          aloneCount = Math.max(aloneCount, batch.length) - 1
          yield* handle(event, kept)
          done(queue)
        }
      }
      end(event, queue)
    }).pipe(Effect.onInterrupt(() => abandon(event, queue)))

  return {
    add: (event, kept) => {
      socket.intake.add(kept.bytes + eventBytes)
      const known = queues.get(event)
      const queue = known ?? { events: [], turn: socket.turnOf(event) }
      queue.events.push(kept)
      if (known !== undefined) return
      queues.set(event, queue)
      socket.run(work(event, queue))
    }
  }
}
