/** What ends on one replica ends on all: tokens, devices, accounts; and what one has seen is not new to another. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, TestClock } from "effect"
import * as Devices from "../../src/accounts/Devices.ts"
import * as AccountSwitch from "../../src/admin/AccountSwitch.ts"
import * as LinkedBus from "../../src/replicas/LinkedBus.ts"
import { Replicas } from "../../src/replicas/ReplicaBus.ts"
import * as AccountServer from "../support/AccountServer.ts"
import { get, login, post } from "../support/AccountServer.ts"
import type { MemoryHub } from "../support/MemoryHub.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import { TestServer } from "../support/TestServer.ts"
import { arrived, makeHub, until } from "../replicas/TwoReplicas.ts"

type Shared = Context.Context<Layer.Layer.Success<typeof TestDatabase.layer>>

const start = (hub: MemoryHub, name: string, shared: Shared) =>
  Effect.gen(function* () {
    const bus = yield* LinkedBus.make(hub.link(name))
    const services = Layer.merge(Devices.layer, AccountSwitch.layer)
    const server = AccountServer.layer({}, Layer.succeedContext(shared))
    const context = yield* Layer.build(
      services.pipe(Layer.provideMerge(server), Layer.provide(Layer.succeed(Replicas, bus)))
    )
    const on = <A, E>(effect: Effect.Effect<A, E, TestServer>) => Effect.provide(effect, context)
    return { bus, on, context, server: Context.get(context, TestServer) }
  })

const two = Effect.gen(function* () {
  const hub = makeHub()
  const shared = yield* Layer.build(TestDatabase.layer)
  const a = yield* start(hub, "a", shared)
  const b = yield* start(hub, "b", shared)
  yield* until(() => a.bus.others().length === 1 && b.bus.others().length === 1)
  return { hub, a, b }
})

const appOf = (token: string) => ({ token, clientType: "user-scoped" })

describe("accounts of two replicas", () => {
  it.scoped("lose their tokens and connections on both when one revokes them", () =>
    Effect.gen(function* () {
      const { a, b } = yield* two
      const { client, token } = yield* a.on(login())
      assert.strictEqual((yield* b.on(get("/v1/account/profile", token))).statusCode, 200)
      const connected = yield* b.server.connect(appOf(token))
      assert.strictEqual((yield* a.on(post("/v1/auth/revoke", {}, token))).statusCode, 200)
      assert.strictEqual(yield* connected.next("disconnect"), "io server disconnect")
      assert.strictEqual((yield* b.on(get("/v1/account/profile", token))).statusCode, 401)
      const again = yield* b.on(login(client))
      const later = yield* b.server.connect(appOf(again.token))
      // The check for revocations by other programs finds the row, and knows it already.
      yield* TestClock.adjust("11 seconds")
      assert.deepStrictEqual(yield* later.rest("disconnect"), [])
    })
  )

  it.scoped("are refused on both when one disables them", () =>
    Effect.gen(function* () {
      const { a, b } = yield* two
      const { accountId, token } = yield* a.on(login())
      const connected = yield* b.server.connect(appOf(token))
      assert.strictEqual((yield* b.on(get("/v1/account/profile", token))).statusCode, 200)
      yield* Context.get(a.context, AccountSwitch.AccountSwitch).disable(accountId)
      assert.strictEqual(yield* connected.next("disconnect"), "transport close")
      assert.notStrictEqual((yield* b.on(get("/v1/account/profile", token))).statusCode, 200)
    })
  )

  it.scoped("have the devices that each replica has seen, and each can end them", () =>
    Effect.gen(function* () {
      const { a, b } = yield* two
      const first = yield* a.on(login())
      const second = yield* a.on(login(first.client))
      yield* b.on(get("/v1/account/profile", second.token))
      const phone = yield* b.server.connect(appOf(second.token))
      const devices = Context.get(a.context, Devices.Devices)
      const listed = yield* devices.list(first.accountId)
      assert.strictEqual(listed.length, 2)
      const connected = listed.find(({ connections }) => connections.length > 0)
      assert.deepStrictEqual(connected?.connections, [{ type: "user-scoped" }])
      yield* devices.revoke(first.accountId, connected?.id ?? "")
      assert.strictEqual(yield* phone.next("disconnect"), "io server disconnect")
      assert.strictEqual((yield* b.on(get("/v1/account/profile", second.token))).statusCode, 401)
      assert.strictEqual((yield* b.on(get("/v1/account/profile", first.token))).statusCode, 200)
    })
  )

  it.scoped("cannot be entered on one with a signed login that another one has seen", () =>
    Effect.gen(function* () {
      const { a, b } = yield* two
      const { client } = yield* a.on(login())
      const recorded = client.challenge()
      assert.strictEqual((yield* a.on(post("/v1/auth", recorded))).statusCode, 200)
      yield* arrived
      yield* TestClock.adjust("31 seconds")
      assert.strictEqual((yield* b.on(post("/v1/auth", recorded))).statusCode, 401)
      assert.strictEqual((yield* b.on(post("/v1/auth", client.challenge()))).statusCode, 200)
    })
  )
})
