import { assert, describe, it } from "@effect/vitest"
import * as RedisOutbox from "../../src/replicas/RedisOutbox.ts"

/** A connection whose answers a test gives. */
const makeConnection = () => {
  const written: Array<{
    readonly text: string
    readonly resolve: () => void
    readonly reject: (cause: unknown) => void
  }> = []
  const append: RedisOutbox.Append = ({ data }) =>
    new Promise<void>((resolve, reject) => written.push({ text: data ?? "", resolve, reject }))
  return { append, written, texts: () => written.map(({ text }) => text) }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe("RedisOutbox", () => {
  it("sends in order, and what was not confirmed once more on the next connection", async () => {
    const outbox = RedisOutbox.make(() => true)
    const [first, second] = [makeConnection(), makeConnection()]
    outbox.add({ data: "1" })
    outbox.open(first.append)
    outbox.add({ data: "2" })
    outbox.add({ data: "3" })
    assert.deepStrictEqual(first.texts(), ["1", "2", "3"])
    first.written[0]?.resolve()
    await turn()
    outbox.close()
    for (const { reject } of first.written.slice(1)) reject(new Error("closed"))
    outbox.add({ data: "4" })
    await turn()
    outbox.open(second.append)
    assert.deepStrictEqual(second.texts(), ["2", "3", "4"])
    for (const { resolve } of second.written) resolve()
    await turn()
    assert.strictEqual(outbox.waitingBytes(), 0)
  })

  it("drops what Redis refuses, and goes on", async () => {
    const outbox = RedisOutbox.make((cause) => cause !== "refused")
    const [first, second] = [makeConnection(), makeConnection()]
    outbox.open(first.append)
    outbox.add({ data: "1" })
    first.written[0]?.reject("refused")
    await turn()
    outbox.open(second.append)
    assert.deepStrictEqual(second.texts(), [])
    assert.strictEqual(outbox.waitingBytes(), 0)
  })

  it("drops what is beyond its limits, while nothing confirms", () => {
    const outbox = RedisOutbox.make(() => true, { entries: 3, bytes: 100 })
    const connection = makeConnection()
    outbox.open(connection.append)
    for (const data of ["1", "x".repeat(200), "2", "3", "4"]) outbox.add({ data })
    assert.deepStrictEqual(connection.texts(), ["1", "2", "3"])
    assert.strictEqual(outbox.waitingBytes(), 15)
  })
})
