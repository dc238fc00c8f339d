import { assert, describe, it } from "@effect/vitest"
import * as QuotaKnobs from "../../src/quota/QuotaKnobs.ts"

const home: QuotaKnobs.Surroundings = { signUp: "open", host: "127.0.0.1", publicUrl: undefined, trustedProxies: [] }

const limits = { bytes: 5, rows: 6 }

const limitsOf = (quota: "auto" | "on" | "off", surroundings: Partial<QuotaKnobs.Surroundings> = {}) =>
  QuotaKnobs.limitsOf({ quota, ...limits }, { ...home, ...surroundings })

describe("QuotaKnobs", () => {
  it.each([
    { host: "0.0.0.0" },
    { host: "::" },
    { host: "192.168.1.5" },
    { host: "box.local" },
    { publicUrl: "https://happier.example.org" },
    { trustedProxies: ["loopback"] }
  ])("limits accounts by itself while strangers can open some: %o", (surroundings) => {
    assert.deepStrictEqual(limitsOf("auto", surroundings), limits)
    assert.isUndefined(limitsOf("off", surroundings))
    for (const signUp of ["closed", "first-account"] as const) {
      assert.isUndefined(limitsOf("auto", { ...surroundings, signUp }))
      assert.deepStrictEqual(limitsOf("on", { ...surroundings, signUp }), limits)
    }
  })

  it.each(["127.0.0.1", "127.1.2.3", "localhost", "LOCALHOST", "::1", "[::1]"])(
    "limits nobody who is on the machine itself: %s",
    (host) => {
      assert.isUndefined(limitsOf("auto", { host }))
      assert.deepStrictEqual(limitsOf("on", { host }), limits)
    }
  )
})
