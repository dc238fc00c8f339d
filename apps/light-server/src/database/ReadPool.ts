/**
 * Reads that may be large, in threads of their own: the event loop neither waits for them nor prints what they found.
 *
 * **Details**
 *
 * - A free thread takes the oldest read of the first class that waits: point reads before lists before reports.
 *   Reports never take the last thread, so that a list waits for lists only.
 * - A class has a bounded queue and a deadline, from the question to the answer. The same time is the longest that a
 *   thread may work on one read; then it is ended and another one takes its place.
 * - Threads start when there is work for them. One that is inside a statement ends when the statement does, so no more
 *   than twice as many threads as the pool has are there at once.
 */
import { Deferred, Duration, Effect, type Fiber, FiberId, Runtime, type Scope } from "effect"
import * as ReadMetrics from "./ReadMetrics.ts"
import { ReadFailed, type ReadFailure, ReadOverflow, ReadTimeout, threadLost } from "./ReadFailure.ts"
import type {
  Answered,
  Asked,
  ListReply,
  ListRequest,
  ReadReply,
  ReadRequest,
  RowsRequest,
  StoredRow
} from "./ReadRequest.ts"

/** In the order of turns. */
export const classes = ["point", "list", "report"] as const

export type ReadClass = (typeof classes)[number]

export interface ClassOptions {
  /** Reads that may wait at once. */
  readonly queueLimit: number
  /** From the question to the answer, and the longest work of a thread on one read. */
  readonly deadline: Duration.DurationInput
}

export interface Options {
  readonly threads: number
  readonly classes: { readonly [name in ReadClass]: ClassOptions }
}

/** All deadlines are below the 9 s within which a request is answered. */
export const defaults: Options = {
  threads: 2,
  classes: {
    point: { queueLimit: 256, deadline: "2 seconds" },
    list: { queueLimit: 128, deadline: "4 seconds" },
    report: { queueLimit: 16, deadline: "8 seconds" }
  }
}

/** A thread as the pool sees it. */
export interface ReaderThread {
  readonly send: (asked: Asked) => void
  /** Begins to end the thread. `ended` is called when it is gone. */
  readonly end: () => void
}

export interface ThreadEvents {
  readonly answered: (answered: Answered) => void
  /** Called once, for whatever reason the thread is gone. */
  readonly ended: (reason: string) => void
}

/** Starts a thread. May throw. */
export type Spawn = (events: ThreadEvents) => ReaderThread

export interface ReadPool {
  readonly list: (readClass: ReadClass, request: ListRequest) => Effect.Effect<ListReply, ReadFailure>
  readonly rows: (readClass: ReadClass, request: RowsRequest) => Effect.Effect<ReadonlyArray<StoredRow>, ReadFailure>
}

interface Job {
  readonly readClass: ReadClass
  readonly request: ReadRequest
  readonly askedAtMillis: number
  readonly done: (answer: Effect.Effect<ReadReply, ReadFailure>) => void
}

interface Running {
  readonly job: Job
  readonly id: number
  readonly limit: Fiber.RuntimeFiber<void>
}

interface Member {
  readonly thread: ReaderThread
  running: Running | undefined
}

const timeoutOf = (readClass: ReadClass, terms: Options["classes"]) =>
  new ReadTimeout({ readClass, limitMillis: Duration.toMillis(terms[readClass].deadline) })

const lost = (detail: string) => new ReadFailed({ code: threadLost, detail })

/** How long the end of the pool waits for its threads. */
const closeLimit = "500 millis"

/** The threads and what waits for them. Plain state: each step runs to its end before another one begins. */
const makeCrew = (
  { classes: terms, threads }: Options,
  spawn: Spawn,
  clock: { readonly now: () => number; readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void> }
) => {
  const waiting = { point: new Set<Job>(), list: new Set<Job>(), report: new Set<Job>() }
  const members = new Set<Member>()
  /** Told to end, and not gone yet. */
  const ending = new Set<Member>()
  const allGone = Deferred.unsafeMake<void>(FiberId.none)
  let isClosed = false
  let lastId = 0

  const countWaiting = (readClass: ReadClass) => ReadMetrics.setWaiting(readClass, waiting[readClass].size)
  const findIdle = () => [...members].find(({ running }) => running === undefined)

  const reportsMax = Math.max(1, threads - 1)
  const reportCount = () => [...members].filter(({ running }) => running?.job.readClass === "report").length

  const takeNext = (): Job | undefined => {
    for (const readClass of classes) {
      const job = waiting[readClass].values().next().value
      if (job === undefined || (readClass === "report" && reportCount() >= reportsMax)) continue
      waiting[readClass].delete(job)
      countWaiting(readClass)
      return job
    }
    return undefined
  }

  const retire = (member: Member) => {
    members.delete(member)
    ending.add(member)
    member.thread.end()
  }

  const release = (member: Member): Job | undefined => {
    const { running } = member
    member.running = undefined
    running?.limit.unsafeInterruptAsFork(FiberId.none)
    return running?.job
  }

  const overdue = (member: Member, id: number) => {
    if (member.running?.id !== id) return
    const { job } = member.running
    member.running = undefined
    ReadMetrics.countReplaced("overdue")
    clock.fork(
      Effect.logWarning("A thread that reads did not answer in time and is replaced").pipe(
        Effect.annotateLogs({ code: "READ_OVERDUE", class: job.readClass })
      )
    )
    retire(member)
    job.done(Effect.fail(timeoutOf(job.readClass, terms)))
    dispatch()
  }

  const run = (member: Member, job: Job) => {
    const id = ++lastId
    const limit = clock.fork(
      Effect.delay(
        Effect.sync(() => overdue(member, id)),
        terms[job.readClass].deadline
      )
    )
    member.running = { job, id, limit }
    ReadMetrics.observeWait(job.readClass, clock.now() - job.askedAtMillis)
    member.thread.send({ id, request: job.request })
  }

  const start = (): Member | string => {
    try {
      const member: Member = {
        running: undefined,
        thread: spawn({
          answered: ({ fault, id, reply }) => {
            if (member.running?.id !== id) return
            release(member)?.done(
              reply === undefined
                ? Effect.fail(new ReadFailed(fault ?? { code: threadLost, detail: "an answer was empty" }))
                : Effect.succeed(reply)
            )
            dispatch()
          },
          ended: (reason) => end(member, reason)
        })
      }
      members.add(member)
      return member
    } catch (cause) {
      return String(cause)
    }
  }

  const end = (member: Member, reason: string) => {
    const isUnexpected = members.delete(member)
    ending.delete(member)
    if (isUnexpected) {
      ReadMetrics.countReplaced("died")
      clock.fork(
        Effect.logWarning("A thread that reads ended and is replaced").pipe(
          Effect.annotateLogs({ code: "READ_THREAD_LOST", reason })
        )
      )
      release(member)?.done(Effect.fail(lost(reason)))
    }
    if (isClosed && ending.size === 0) Deferred.unsafeDone(allGone, Effect.void)
    dispatch()
  }

  const dispatch = () => {
    for (;;) {
      if (isClosed) return
      const idle = findIdle()
      const mayStart = members.size < threads && members.size + ending.size < 2 * threads
      if (idle === undefined && !mayStart) return
      const job = takeNext()
      if (job === undefined) return
      const member = idle ?? start()
      if (typeof member === "string") job.done(Effect.fail(lost(member)))
      else run(member, job)
    }
  }

  return {
    /** Answers how to take the job back. */
    enter: (job: Job): (() => void) => {
      if (isClosed) {
        job.done(Effect.fail(lost("the server is ending")))
        return () => {}
      }
      const queue = waiting[job.readClass]
      const limit = terms[job.readClass].queueLimit
      if (queue.size >= limit) {
        ReadMetrics.countOverflow(job.readClass)
        job.done(Effect.fail(new ReadOverflow({ readClass: job.readClass, limit })))
        return () => {}
      }
      queue.add(job)
      dispatch()
      countWaiting(job.readClass)
      return () => {
        queue.delete(job)
        countWaiting(job.readClass)
      }
    },
    close: Effect.suspend(() => {
      isClosed = true
      const jobs = [...members].flatMap((member) => release(member) ?? [])
      for (const readClass of classes) {
        jobs.push(...waiting[readClass])
        waiting[readClass].clear()
      }
      for (const job of jobs) job.done(Effect.fail(lost("the server is ending")))
      for (const member of members) retire(member)
      return ending.size === 0 ? Effect.void : Deferred.await(allGone)
    })
  }
}

/**
 * A pool whose threads end with the scope. Nothing is started before the first read.
 */
export const make = (spawn: Spawn, options: Options = defaults): Effect.Effect<ReadPool, never, Scope.Scope> =>
  Effect.gen(function* () {
    const runtime = yield* Effect.runtime<never>()
    const clock = yield* Effect.clock
    const crew = makeCrew(options, spawn, {
      now: () => clock.unsafeCurrentTimeMillis(),
      fork: Runtime.runFork(runtime)
    })
    for (const name of classes) {
      ReadMetrics.setWaiting(name, 0)
      ReadMetrics.setLimit(name, options.classes[name].queueLimit)
    }
    yield* Effect.addFinalizer(() => Effect.timeoutOption(Effect.interruptible(crew.close), closeLimit))

    const ask = (readClass: ReadClass, request: ReadRequest): Effect.Effect<ReadReply, ReadFailure> =>
      Effect.async<ReadReply, ReadFailure>((resume) => {
        const leave = crew.enter({ readClass, request, askedAtMillis: clock.unsafeCurrentTimeMillis(), done: resume })
        return Effect.sync(leave)
      }).pipe(
        Effect.timeoutFail({
          duration: options.classes[readClass].deadline,
          onTimeout: () => timeoutOf(readClass, options.classes)
        })
      )

    return {
      list: (readClass, request) => Effect.map(ask(readClass, request), (reply) => reply as ListReply),
      rows: (readClass, request) => Effect.map(ask(readClass, request), (reply) => reply as ReadonlyArray<StoredRow>)
    }
  })
