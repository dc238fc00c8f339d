import { assert, describe, it } from "@effect/vitest"
import * as SignsOfLife from "../../../src/realtime/sending/SignsOfLife.ts"

const alive = { name: "s1", thinking: false }
const thinking = { name: "s1", thinking: true }

describe("SignsOfLife", () => {
  it("sends one a second, and new content at once", () => {
    const signs = SignsOfLife.make({ repeatedPacketsPerSecond: 1000 })
    const take = (sign: SignsOfLife.Sign, nowMillis: number) => signs.take("a1", sign, 1, nowMillis)
    assert.isTrue(take(alive, 0))
    assert.isFalse(take(alive, 999))
    assert.isTrue(take(alive, 1000))
    assert.isTrue(take(thinking, 1001))
    assert.isFalse(take(thinking, 1002))
    assert.isTrue(take({ name: "s2", thinking: false }, 1002))
  })

  it("counts an announcement as one, and the first one after an end as new", () => {
    const signs = SignsOfLife.make({ repeatedPacketsPerSecond: 1000 })
    signs.online(alive, 0)
    assert.isFalse(signs.take("a1", alive, 1, 500))
    signs.offline("s1")
    assert.isTrue(signs.take("a1", alive, 1, 501))
  })

  it("goes on when the clock steps back", () => {
    const signs = SignsOfLife.make({ repeatedPacketsPerSecond: 1000 })
    assert.isTrue(signs.take("a1", alive, 1, 10_000))
    assert.isTrue(signs.take("a1", alive, 1, 5000))
  })

  it("sends no more packets than an account may cause, and the rest when it may again", () => {
    const signs = SignsOfLife.make({ repeatedPacketsPerSecond: 100 })
    const take = (account: string, row: string, nowMillis: number) =>
      signs.take(account, { name: row, thinking: false }, 60, nowMillis)
    assert.isTrue(take("a1", "s1", 0))
    assert.isFalse(take("a1", "s2", 0))
    assert.isTrue(take("a2", "s3", 0))
    assert.isTrue(take("a1", "s2", 700))
  })
})
