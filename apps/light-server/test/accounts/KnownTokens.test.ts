import { assert, describe, it } from "@effect/vitest"
import * as KnownTokens from "../../src/accounts/KnownTokens.ts"

const ids = (tokens: ReadonlyArray<KnownTokens.KnownToken>) => tokens.map(({ id }) => id)

describe("KnownTokens", () => {
  it("keeps when a token was seen first and last, and the User-Agent of its client", () => {
    const known = KnownTokens.make(10)
    known.note("t", "a", "happier-cli/1.0", 5)
    known.note("t", "a", undefined, 9)
    assert.deepStrictEqual(known.ofAccount("a"), [
      { id: "t", accountId: "a", client: "happier-cli/1.0", firstSeenAt: 5, lastSeenAt: 9 }
    ])
    known.note("t", "a", "x".repeat(10_000), 9)
    assert.strictEqual(known.ofAccount("a")[0]?.client?.length, 200)
  })

  it("lists the tokens of an account, the most recent first, and forgets one or all of them", () => {
    const known = KnownTokens.make(10)
    known.note("t1", "a", undefined, 1)
    known.note("t2", "a", undefined, 2)
    known.note("t3", "b", undefined, 3)
    assert.deepStrictEqual(ids(known.ofAccount("a")), ["t2", "t1"])
    known.forget("t1")
    assert.deepStrictEqual(ids(known.ofAccount("a")), ["t2"])
    known.forgetAccount("a")
    assert.deepStrictEqual(ids(known.ofAccount("a")), [])
    assert.deepStrictEqual(ids(known.ofAccount("b")), ["t3"])
  })

  it("forgets the least recently seen first", () => {
    const known = KnownTokens.make(2)
    known.note("t1", "a", undefined, 1)
    known.note("t2", "a", undefined, 2)
    known.note("t1", "a", undefined, 3)
    known.note("t3", "a", undefined, 4)
    assert.deepStrictEqual(ids(known.ofAccount("a")), ["t3", "t1"])
  })
})
