import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { PassThrough, Writable } from "node:stream"
import * as LogOutput from "../../src/log/LogOutput.ts"

/** A reader that reads nothing until it is released. */
const makeSleeper = () => {
  const read: Array<string> = []
  let wake = () => {}
  const stream = new Writable({
    decodeStrings: false,
    write: (chunk, _, done) => {
      wake = () => {
        read.push(String(chunk))
        done()
      }
    }
  })
  return { stream, read, next: () => wake() }
}

const bounded = (stream: Writable) => {
  let droppedCount = 0
  const output = LogOutput.bounded(stream, { bytesMax: 10, dropped: () => droppedCount++ })
  return { output, droppedCount: () => droppedCount }
}

describe("LogOutput", () => {
  it.effect("keeps unread lines up to its limit, drops lines beyond it, and continues when there is room", () =>
    Effect.sync(() => {
      const sleeper = makeSleeper()
      const { droppedCount, output } = bounded(sleeper.stream)
      for (const line of ["1234\n", "2345\n", "lost\n", "lost\n"]) output.write(line)
      assert.strictEqual(droppedCount(), 2)
      sleeper.next()
      output.write("6789\n")
      assert.strictEqual(droppedCount(), 2)
      sleeper.next()
      sleeper.next()
      assert.deepStrictEqual(sleeper.read, ["1234\n", "2345\n", "6789\n"])
    })
  )

  it.effect("is flushed when everything has left, and at once when nothing waits", () =>
    Effect.gen(function* () {
      const sleeper = makeSleeper()
      const { output } = bounded(sleeper.stream)
      yield* output.flush
      output.write("1234\n")
      const flushing = yield* Effect.fork(output.flush)
      yield* Effect.yieldNow()
      assert.isNull(flushing.unsafePoll())
      sleeper.next()
      sleeper.next()
      yield* Fiber.join(flushing)
    })
  )

  it.effect("survives a reader that goes away", () =>
    Effect.gen(function* () {
      const stream = new PassThrough()
      const { droppedCount, output } = bounded(stream)
      stream.destroy(new Error("EPIPE"))
      yield* Effect.promise(() => new Promise((resolve) => stream.once("close", resolve)))
      output.write("1234\n")
      assert.strictEqual(droppedCount(), 1)
      yield* output.flush
    })
  )
})
