import { assert, describe, it } from "@effect/vitest"
import type { Presence } from "../../src/Presence.ts"
import type { PresenceConfig } from "../../src/presence/PresenceConfig.ts"
import type { PresenceKey } from "../../src/presence/PresenceKey.ts"
import * as PresenceKind from "../../src/presence/PresenceKind.ts"
import type { HostOptions, PresenceHost } from "../../src/host/PresenceHost.ts"

const kinds = {
  machine: { table: "Machine", accountId: "accountId" },
  laptop: { accountId: "owner", key: ["accountId", "id"] },
  sensor: { table: "user-sensors" }
} as const satisfies PresenceKind.PresenceKinds

type Kinds = typeof kinds
type Key = PresenceKind.KeyOf<Kinds>

/** What the compiler must take and must refuse. Runs nothing. */
const types = (presence: Presence<Key>, host: PresenceHost<Key>) => {
  presence.beat({ kind: "machine", accountId: "a", id: "x" }, 0)
  presence.beat({ kind: "sensor", id: "x" }, 0)
  host.connected({ kind: "laptop", accountId: "a", id: "x" })
  // @ts-expect-error no such kind
  presence.beat({ kind: "machin", accountId: "a", id: "x" }, 0)
  // @ts-expect-error a machine belongs to an account
  presence.connected({ kind: "machine", id: "x" })
  // @ts-expect-error a sensor has no account
  presence.seen({ kind: "sensor", accountId: "a", id: "x" })
  // @ts-expect-error no such kind
  presence.lastSeen({ kind: "session", accountId: "a", id: "x" })
  // @ts-expect-error no such kind
  host.beat({ kind: "session", accountId: "a", id: "x" }, 0)
  return presence.onTransition(({ key }) => {
    const kind: "machine" | "laptop" | "sensor" = key.kind
    // @ts-expect-error a sensor has no account
    const account: string = key.accountId
    return [kind, account]
  })
}

const config: Partial<PresenceConfig<keyof Kinds>> = { kinds: { sensor: { disconnectGrace: 0 } } }
// @ts-expect-error no such kind
const strangeConfig: Partial<PresenceConfig<keyof Kinds>> = { kinds: { session: { disconnectGrace: 0 } } }
const options: HostOptions<Kinds> = { filename: "f", kinds, presence: { kinds: { laptop: { offlineTimeout: 1 } } } }
// @ts-expect-error no such kind
const strangeOptions: HostOptions<Kinds> = { filename: "f", kinds, presence: { kinds: { device: {} } } }
/** A host that reads its kinds from somewhere has keys that the compiler does not know. */
const untyped: PresenceKind.KeyOf<PresenceKind.PresenceKinds> = { kind: "any", id: "x" } satisfies PresenceKey

describe("PresenceKind", () => {
  it("has keys of the declared kinds only, with an account where the kind has one", () => {
    assert.isFunction(types)
    assert.lengthOf([config, strangeConfig, options, strangeOptions, untyped], 5)
  })

  it("tells rows apart by the id, or by account and id together", () => {
    const [byId, byBoth] = [kinds.machine, kinds.laptop].map(PresenceKind.rowNameOf)
    assert.strictEqual(byId?.({ accountId: "a", id: "x" }), byId?.({ accountId: "b", id: "x" }))
    assert.notStrictEqual(byBoth?.({ accountId: "a", id: "bx" }), byBoth?.({ accountId: "ab", id: "x" }))
    assert.strictEqual(byBoth?.({ accountId: "a", id: "x" }), byBoth?.({ accountId: "a", id: "x" }))
  })

  it("takes the terms of a kind from the kind, and the others from all", () => {
    const terms = {
      persistThreshold: 1,
      acceptanceWindow: 2,
      offlineTimeout: 3,
      disconnectGrace: 4,
      kinds: { sensor: { disconnectGrace: 9 } }
    }
    const common = { persistThreshold: 1, acceptanceWindow: 2, offlineTimeout: 3 }
    assert.deepStrictEqual(PresenceKind.termsOf(terms, "sensor"), { ...common, disconnectGrace: 9 })
    assert.deepStrictEqual(PresenceKind.termsOf(terms, "machine"), { ...common, disconnectGrace: 4 })
  })

  it("names every problem of a declaration", () => {
    assert.deepStrictEqual(PresenceKind.problemsOf(kinds), [])
    assert.deepStrictEqual(PresenceKind.problemsOf({}), ["at least one kind must be declared"])
    const problems = PresenceKind.problemsOf({ "1st": {}, two: { key: ["accountId", "id"] }, ["x".repeat(65)]: {} })
    assert.lengthOf(problems, 3)
    assert.match(problems.join("\n"), /got "1st"\n.*two\.accountId must name a column\n.*got "xxx/)
  })
})
