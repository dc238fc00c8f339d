import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Client from "proving/drivers/AccountClient"
import { AccountSwitch, layer } from "../../src/admin/AccountSwitch.ts"
import * as RateLimit from "../../src/door/RateLimit.ts"
import * as AccountServer from "../support/AccountServer.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const server = (http: Parameters<typeof AccountServer.layer>[0] = {}) =>
  Layer.provideMerge(layer, AccountServer.layer(http))

const statusOf = (token: string) =>
  Effect.map(AccountServer.get("/v1/account/profile", token), ({ statusCode }) => statusCode)

describe("AccountSwitch", () => {
  it.scopedLive("refuses every token of the account for now, and accepts the same ones again", () =>
    Effect.gen(function* () {
      const accounts = yield* AccountSwitch
      const client = Client.make()
      const { accountId, token } = yield* AccountServer.login(client)
      const other = yield* AccountServer.login()
      const first = yield* accounts.disable(accountId)
      assert.deepInclude(first, { id: accountId, isChanged: true })
      const refused = yield* AccountServer.post("/v1/machines", { id: "m1", metadata: "m" }, token)
      assert.strictEqual(refused.statusCode, 503)
      assert.isAtLeast(Number(refused.headers["retry-after"]), 30)
      assert.deepInclude(refused.json<object>(), { code: "AccountDisabled", retryable: true })
      assert.notInclude(refused.body, accountId)
      const login = yield* AccountServer.post("/v1/auth", client.challenge())
      assert.deepStrictEqual([login.statusCode, login.json()], [403, { error: "account-disabled" }])
      assert.strictEqual(yield* statusOf(other.token), 200)
      assert.strictEqual(yield* statusOf("nonsense"), 401)

      const enabled = yield* accounts.enable(accountId)
      assert.deepStrictEqual(enabled, { id: accountId, disabledAt: null, isChanged: true })
      assert.strictEqual(yield* statusOf(token), 200)
      assert.strictEqual((yield* AccountServer.post("/v1/auth", client.challenge())).statusCode, 200)
    }).pipe(Effect.provide(server()))
  )

  it.scopedLive("changes nothing the second time, and knows no account that does not exist or is being deleted", () =>
    Effect.gen(function* () {
      const accounts = yield* AccountSwitch
      const database = yield* TestDatabase
      const { accountId } = yield* AccountServer.login()
      assert.deepStrictEqual(yield* accounts.enable(accountId), { id: accountId, disabledAt: null, isChanged: false })
      const { disabledAt } = yield* accounts.disable(accountId)
      assert.deepStrictEqual(yield* accounts.disable(accountId), { id: accountId, disabledAt, isChanged: false })
      database.addAccount("removed-sessions")
      database.addAccount("gone")
      database.sqlite.exec(`UPDATE "Account" SET "publicKey" = 'deleted-account:gone' WHERE "id" = 'gone'`)
      for (const id of ["nobody", "", "removed-sessions", "gone", "' OR 1=1 --"]) {
        assert.strictEqual((yield* Effect.flip(accounts.disable(id)))._tag, "NotFound", id)
        assert.strictEqual((yield* Effect.flip(accounts.enable(id)))._tag, "NotFound", id)
      }
      const rows = database.query(`SELECT "accountId" FROM "PresenceAccountDisablement"`)
      assert.deepStrictEqual(rows, [{ accountId }])
    }).pipe(Effect.provide(server()))
  )

  it.scopedLive("charges no bad token to the address of a disabled account, and its requests to the account", () =>
    Effect.gen(function* () {
      const accounts = yield* AccountSwitch
      const { accountId, token } = yield* AccountServer.login()
      const other = yield* AccountServer.login()
      yield* accounts.disable(accountId)
      const statuses = yield* Effect.replicateEffect(statusOf(token), 8)
      // Five points a minute for reads, one of which its login has used.
      assert.deepStrictEqual(statuses, [503, 503, 503, 503, 429, 429, 429, 429])
      assert.strictEqual(yield* statusOf(other.token), 200)
    }).pipe(Effect.provide(server({ http: { rateLimits: { ...RateLimit.defaults, reads: 5, badTokens: 2 } } })))
  )
})
