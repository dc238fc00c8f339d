import { assert, describe, it } from "@effect/vitest"
import * as LiveReplicas from "../../src/replicas/LiveReplicas.ts"

const check = (live: LiveReplicas.LiveReplicas, from: number, to: number) => {
  const gone: Array<string> = []
  for (let now = from; now <= to; now += 100) gone.push(...live.expire(now))
  return gone
}

describe("LiveReplicas", () => {
  it("has those that announce themselves, until 700 ms after the last time", () => {
    const live = LiveReplicas.make()
    assert.isTrue(live.heard("b", 0))
    assert.isFalse(live.heard("b", 200))
    assert.deepStrictEqual(check(live, 0, 800), [])
    assert.deepStrictEqual(live.names(), ["b"])
    assert.deepStrictEqual(check(live, 900, 900), ["b"])
    assert.deepStrictEqual(live.names(), [])
    assert.isTrue(live.heard("b", 1000))
  })

  it("removes one that says that it ends", () => {
    const live = LiveReplicas.make()
    live.heard("b", 0)
    assert.isTrue(live.leave("b"))
    assert.isFalse(live.leave("b"))
    assert.deepStrictEqual(live.names(), [])
  })

  it("does not blame others for the time in which this process stood still", () => {
    const live = LiveReplicas.make()
    live.heard("b", 0)
    check(live, 0, 100)
    assert.deepStrictEqual(live.expire(5000), [])
    assert.deepStrictEqual(check(live, 5100, 5600), [])
    assert.deepStrictEqual(check(live, 5700, 5700), ["b"])
  })
})
