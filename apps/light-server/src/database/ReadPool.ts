/**
 * Reads that may be large, in threads of their own: the event loop neither waits for them nor serializes their results.
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

/** All deadlines are below the 9 s limit of a request. */
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
  /** Begins to end the thread. `ended` is called when it has ended. */
  readonly end: () => void
}

export interface ThreadEvents {
  readonly answered: (answered: Answered) => void
  /** Called once, for whatever reason the thread ended. */
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

/** How long the pool waits for its threads when it closes. */
const closeLimit = "500 millis"

interface Clock {
  readonly now: () => number
  readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>
}

/** The threads and what waits for them. Plain state: each step runs to its end before another one begins. */
class Crew {
  private readonly waiting = { point: new Set<Job>(), list: new Set<Job>(), report: new Set<Job>() }
  private readonly members = new Set<Member>()
  /** Asked to end, but still running. */
  private readonly ending = new Set<Member>()
  private readonly allGone = Deferred.unsafeMake<void>(FiberId.none)
  private readonly terms: Options["classes"]
  private readonly threads: number
  private readonly reportsMax: number
  private readonly spawn: Spawn
  private readonly clock: Clock
  private isClosed = false
  private lastId = 0

  constructor({ classes: terms, threads }: Options, spawn: Spawn, clock: Clock) {
    this.terms = terms
    this.threads = threads
    this.reportsMax = Math.max(1, threads - 1)
    this.spawn = spawn
    this.clock = clock
  }

  /** Returns a function that takes the job back. */
  enter(job: Job): () => void {
    const { readClass } = job
    if (this.isClosed) {
      job.done(Effect.fail(lost("the server is ending")))
      return () => {}
    }
    const queue = this.waiting[readClass]
    const limit = this.terms[readClass].queueLimit
    if (queue.size >= limit) {
      ReadMetrics.countOverflow(readClass)
      job.done(Effect.fail(new ReadOverflow({ readClass, limit })))
      return () => {}
    }
    queue.add(job)
    this.dispatch()
    this.countWaiting(readClass)
    return () => {
      queue.delete(job)
      this.countWaiting(readClass)
    }
  }

  readonly close = Effect.suspend(() => {
    this.isClosed = true
    const jobs = [...this.members].flatMap((member) => release(member) ?? [])
    for (const readClass of classes) {
      jobs.push(...this.waiting[readClass])
      this.waiting[readClass].clear()
    }
    for (const job of jobs) job.done(Effect.fail(lost("the server is ending")))
    for (const member of this.members) this.retire(member)
    return this.ending.size === 0 ? Effect.void : Deferred.await(this.allGone)
  })

  private countWaiting(readClass: ReadClass): void {
    ReadMetrics.setWaiting(readClass, this.waiting[readClass].size)
  }

  private dispatch(): void {
    for (;;) {
      if (this.isClosed) return
      const idle = [...this.members].find(({ running }) => running === undefined)
      const mayStart = this.members.size < this.threads && this.members.size + this.ending.size < 2 * this.threads
      if (idle === undefined && !mayStart) return
      const job = this.takeNext()
      if (job === undefined) return
      const member = idle ?? this.start()
      if (typeof member === "string") job.done(Effect.fail(lost(member)))
      else this.run(member, job)
    }
  }

  private takeNext(): Job | undefined {
    const reportCount = [...this.members].filter(({ running }) => running?.job.readClass === "report").length
    for (const readClass of classes) {
      const job = this.waiting[readClass].values().next().value
      if (job === undefined || (readClass === "report" && reportCount >= this.reportsMax)) continue
      this.waiting[readClass].delete(job)
      this.countWaiting(readClass)
      return job
    }
    return undefined
  }

  private run(member: Member, job: Job): void {
    const id = ++this.lastId
    const limit = this.clock.fork(
      Effect.delay(
        Effect.sync(() => this.overdue(member, id)),
        this.terms[job.readClass].deadline
      )
    )
    member.running = { job, id, limit }
    ReadMetrics.observeWait(job.readClass, this.clock.now() - job.askedAtMillis)
    member.thread.send({ id, request: job.request })
  }

  /** A new thread, or the reason why it could not be started. */
  private start(): Member | string {
    try {
      const member: Member = {
        running: undefined,
        thread: this.spawn({
          answered: (answered) => this.answered(member, answered),
          ended: (reason) => this.ended(member, reason)
        })
      }
      this.members.add(member)
      return member
    } catch (cause) {
      return String(cause)
    }
  }

  private answered(member: Member, { fault, id, reply }: Answered): void {
    if (member.running?.id !== id) return
    release(member)?.done(
      reply === undefined
        ? Effect.fail(new ReadFailed(fault ?? { code: threadLost, detail: "an answer was empty" }))
        : Effect.succeed(reply)
    )
    this.dispatch()
  }

  private overdue(member: Member, id: number): void {
    if (member.running?.id !== id) return
    const { job } = member.running
    member.running = undefined
    ReadMetrics.countReplaced("overdue")
    this.clock.fork(
      Effect.logWarning("A thread that reads did not answer in time and is replaced").pipe(
        Effect.annotateLogs({ code: "READ_OVERDUE", class: job.readClass })
      )
    )
    this.retire(member)
    job.done(Effect.fail(timeoutOf(job.readClass, this.terms)))
    this.dispatch()
  }

  private retire(member: Member): void {
    this.members.delete(member)
    this.ending.add(member)
    member.thread.end()
  }

  private ended(member: Member, reason: string): void {
    const isUnexpected = this.members.delete(member)
    this.ending.delete(member)
    if (isUnexpected) {
      ReadMetrics.countReplaced("died")
      this.clock.fork(
        Effect.logWarning("A thread that reads ended and is replaced").pipe(
          Effect.annotateLogs({ code: "READ_THREAD_LOST", reason })
        )
      )
      release(member)?.done(Effect.fail(lost(reason)))
    }
    if (this.isClosed && this.ending.size === 0) Deferred.unsafeDone(this.allGone, Effect.void)
    this.dispatch()
  }
}

/** Takes its current job from a thread. */
const release = (member: Member): Job | undefined => {
  const { running } = member
  member.running = undefined
  running?.limit.unsafeInterruptAsFork(FiberId.none)
  return running?.job
}

/**
 * A pool whose threads end with the scope. No thread is started before the first read.
 */
export const make = (spawn: Spawn, options: Options = defaults): Effect.Effect<ReadPool, never, Scope.Scope> =>
  Effect.gen(function* () {
    const runtime = yield* Effect.runtime<never>()
    const clock = yield* Effect.clock
    const crew = new Crew(options, spawn, {
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
