/**
 * Goal: reads beside the event loop are served in order of their class, within bounds, and a thread that hangs or dies
 * only fails its current read. Method: fake threads controlled by the test, on virtual time.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, TestClock } from "effect"
import * as ReadPool from "../../src/database/ReadPool.ts"
import type { Asked } from "../../src/database/ReadRequest.ts"
import { valueOf } from "../support/Gauges.ts"

class ScriptedThread implements ReadPool.ReaderThread {
  readonly asked: Array<Asked> = []
  isEnding = false
  /** Inside a statement: it does not end when it is asked to. */
  isStuck: boolean
  readonly events: ReadPool.ThreadEvents
  constructor(events: ReadPool.ThreadEvents, isStuck: boolean) {
    this.events = events
    this.isStuck = isStuck
  }
  send(asked: Asked) {
    this.asked.push(asked)
  }
  end() {
    this.isEnding = true
    if (!this.isStuck) this.events.ended("exit code 1")
  }
  /** Answers its current read with the text of its statement. */
  answer() {
    const asked = this.asked.at(-1)
    if (asked !== undefined) this.events.answered({ id: asked.id, reply: [{ sql: asked.request.sql }] })
  }
  get sql() {
    return this.asked.at(-1)?.request.sql
  }
}

const terms: ReadPool.Options = {
  threads: 2,
  classes: {
    point: { queueLimit: 2, deadline: "1 second" },
    list: { queueLimit: 2, deadline: "2 seconds" },
    report: { queueLimit: 2, deadline: "4 seconds" }
  }
}

interface Box {
  readonly threads: Array<ScriptedThread>
  readonly pool: ReadPool.ReadPool
  readonly ask: (readClass: ReadPool.ReadClass, sql: string) => Effect.Effect<Fiber.Fiber<unknown, { _tag: string }>>
}

/** By default, threads are stuck until the test is over. */
const box = ({
  isRefused = (): boolean => false,
  isStuckForEver = false,
  threadCount = terms.threads
} = {}): Effect.Effect<Box, never, Scope.Scope> =>
  Effect.gen(function* () {
    const threads: Array<ScriptedThread> = []
    const spawn: ReadPool.Spawn = (events) => {
      if (isRefused()) throw new Error("no thread can be started")
      const thread = new ScriptedThread(events, true)
      threads.push(thread)
      return thread
    }
    const pool = yield* ReadPool.make(spawn, { ...terms, threads: threadCount })
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const thread of isStuckForEver ? [] : threads) {
          thread.isStuck = false
          if (thread.isEnding) thread.end()
        }
      })
    )
    return {
      threads,
      pool,
      ask: (readClass, sql) =>
        // The clock goes on when every fiber waits: the question was asked.
        Effect.zipLeft(Effect.fork(pool.rows(readClass, { _tag: "Rows", sql, params: [] })), TestClock.adjust(0))
    }
  })

const textOf = (exit: Exit.Exit<unknown, { readonly _tag: string }>): unknown =>
  Exit.match(exit, {
    onFailure: (cause) => (cause._tag === "Fail" ? cause.error._tag : cause._tag),
    onSuccess: (rows) => (Array.isArray(rows) ? rows[0]?.sql : rows)
  })

const outcome = (fiber: Fiber.Fiber<unknown, { readonly _tag: string }>) => Effect.map(Fiber.await(fiber), textOf)

describe("ReadPool", () => {
  it.scoped("starts threads when there is work, no more than it has, and gives them back their own answers", () =>
    Effect.gen(function* () {
      const { ask, threads } = yield* box()
      assert.lengthOf(threads, 0)
      const first = yield* ask("list", "a")
      const second = yield* ask("list", "b")
      const third = yield* ask("list", "c")
      assert.deepStrictEqual(
        threads.map(({ sql }) => sql),
        ["a", "b"]
      )
      threads[1]?.answer()
      assert.strictEqual(yield* outcome(second), "b")
      assert.strictEqual(threads[1]?.sql, "c")
      threads[1]?.answer()
      threads[0]?.answer()
      assert.deepStrictEqual([yield* outcome(first), yield* outcome(third)], ["a", "c"])
      assert.lengthOf(threads, 2)
    })
  )

  it.scoped("serves point reads before lists before reports, each in order of arrival", () =>
    Effect.gen(function* () {
      const { ask, threads } = yield* box({ threadCount: 1 })
      yield* ask("report", "busy")
      for (const [readClass, sql] of [
        ["report", "r1"],
        ["list", "l1"],
        ["report", "r2"],
        ["list", "l2"],
        ["point", "p1"]
      ] as const) {
        yield* ask(readClass, sql)
      }
      const [thread] = threads
      for (const _ of Array.from({ length: 6 })) thread?.answer()
      assert.deepStrictEqual(
        thread?.asked.map(({ request }) => request.sql),
        ["busy", "p1", "l1", "l2", "r1", "r2"]
      )
    })
  )

  it.scoped("keeps the last thread free of reports", () =>
    Effect.gen(function* () {
      const { ask, threads } = yield* box()
      yield* ask("report", "r1")
      yield* ask("report", "r2")
      assert.lengthOf(threads, 1)
      yield* ask("list", "l1")
      assert.deepStrictEqual(
        threads.map(({ sql }) => sql),
        ["r1", "l1"]
      )
      threads[1]?.answer()
      assert.strictEqual(threads[1]?.sql, "l1")
      threads[0]?.answer()
      assert.strictEqual(threads[0]?.sql, "r2")
    })
  )

  it.scoped("refuses what finds the queue of its class full, at once, and counts it", () =>
    Effect.gen(function* () {
      const before = yield* valueOf("database_reads_refused_total")
      const { ask } = yield* box({ threadCount: 1 })
      for (const sql of ["busy", "w1", "w2"]) yield* ask("list", sql)
      assert.strictEqual(yield* outcome(yield* ask("list", "one too many")), "ReadOverflow")
      const other = yield* ask("point", "another class")
      assert.isNull(yield* Fiber.poll(other).pipe(Effect.map((polled) => (polled._tag === "None" ? null : polled))))
      assert.strictEqual((yield* valueOf("database_reads_refused_total")) - before, 1)
    })
  )

  it.scoped("fails a read at its deadline, while it waits and while it runs, and replaces the thread that ran it", () =>
    Effect.gen(function* () {
      const before = yield* valueOf("database_reader_threads_replaced_total")
      const { ask, threads } = yield* box({ threadCount: 1 })
      const running = yield* ask("list", "hangs")
      yield* TestClock.adjust("1500 millis")
      const waiting = yield* ask("point", "in vain")
      const patient = yield* ask("report", "patient")
      yield* TestClock.adjust("499 millis")
      assert.isFalse(threads[0]?.isEnding)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* outcome(running), "ReadTimeout")
      assert.isTrue(threads[0]?.isEnding)
      // Its successor starts before it has ended, and its late answer is ignored.
      assert.strictEqual(threads[1]?.sql, "in vain")
      threads[0]?.answer()
      yield* TestClock.adjust("500 millis")
      assert.strictEqual(yield* outcome(waiting), "ReadTimeout")
      assert.isFalse(threads[1]?.isEnding)
      threads[1]?.answer()
      threads[1]?.answer()
      assert.strictEqual(yield* outcome(patient), "patient")
      assert.strictEqual((yield* valueOf("database_reader_threads_replaced_total")) - before, 1)
    })
  )

  it.scoped("has no more than twice its threads at once, however many hang", () =>
    Effect.gen(function* () {
      const { ask, threads } = yield* box({ threadCount: 1 })
      yield* ask("point", "hangs")
      yield* TestClock.adjust("1 second")
      yield* ask("point", "hangs too")
      yield* TestClock.adjust("1 second")
      const third = yield* ask("point", "waits for the end of one")
      assert.lengthOf(threads, 2)
      threads[0]?.events.ended("exit code 1")
      assert.lengthOf(threads, 3)
      threads[2]?.answer()
      assert.strictEqual(yield* outcome(third), "waits for the end of one")
    })
  )

  it.scoped("fails the read of a thread that dies, and starts another thread for waiting reads", () =>
    Effect.gen(function* () {
      const { ask, threads } = yield* box({ threadCount: 1 })
      const held = yield* ask("list", "held")
      const next = yield* ask("list", "next")
      threads[0]?.events.ended("out of memory")
      assert.strictEqual(yield* outcome(held), "ReadFailed")
      threads[1]?.answer()
      assert.strictEqual(yield* outcome(next), "next")
    })
  )

  it.scoped("fails a read for which no thread can be started, and tries again for the next", () =>
    Effect.gen(function* () {
      let isRefused = true
      const { ask, threads } = yield* box({ isRefused: () => isRefused })
      assert.strictEqual(yield* outcome(yield* ask("list", "a")), "ReadFailed")
      isRefused = false
      const second = yield* ask("list", "b")
      threads[0]?.answer()
      assert.strictEqual(yield* outcome(second), "b")
    })
  )

  it.scoped("drops a waiting read whose caller is gone, and the answer of a running one", () =>
    Effect.gen(function* () {
      const { ask, threads } = yield* box({ threadCount: 1 })
      const running = yield* ask("list", "runs")
      const waiting = yield* ask("list", "waits")
      yield* Fiber.interrupt(waiting)
      yield* Fiber.interrupt(running)
      threads[0]?.answer()
      assert.deepStrictEqual(
        threads[0]?.asked.map(({ request }) => request.sql),
        ["runs"]
      )
      const later = yield* ask("list", "later")
      threads[0]?.answer()
      assert.strictEqual(yield* outcome(later), "later")
    })
  )

  it.effect("ends with its scope: fails what is open, and waits half a second for a thread inside a statement", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { ask, threads } = yield* Scope.extend(box({ threadCount: 1, isStuckForEver: true }), scope)
      const open = [yield* ask("list", "runs"), yield* ask("list", "waits")]
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("499 millis")
      assert.isNull(closing.unsafePoll())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(
        yield* Effect.forEach(open, outcome),
        Array.from({ length: 2 }, () => "ReadFailed")
      )
      assert.isTrue(threads[0]?.isEnding)
    })
  )
})
