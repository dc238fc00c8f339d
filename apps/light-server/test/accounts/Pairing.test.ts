/**
 * Pairing over HTTP, of terminals and of accounts: the answers, and what is
 * written.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, TestClock } from "effect"
import { randomBytes } from "node:crypto"
import * as Lane from "presence-effect/writer/Lane"
import { DatabaseBusy } from "presence-effect/writer/WriterError"
import * as TimeForm from "../../src/database/TimeForm.ts"
import { forgetCounts, get, layer, login, post } from "../support/AccountServer.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const newKey = () => randomBytes(32).toString("base64")

const minutes = (count: number) => `${count} minutes` as const

const kinds = [
  { what: "a terminal", path: "/v1/auth", table: "TerminalAuthRequest" },
  { what: "an account", path: "/v1/auth/account", table: "AccountAuthRequest" }
] as const

const statusOf = (publicKey: string) =>
  Effect.map(get(`/v1/auth/request/status?publicKey=${encodeURIComponent(publicKey)}`), (response) => response.json())

for (const { path, table, what } of kinds) {
  const ask = (publicKey: string) => post(`${path}/request`, { publicKey })
  const answer = (publicKey: string, token: string, response = "sealed") =>
    post(`${path}/response`, { publicKey, response }, token)
  const rows = Effect.map(TestDatabase, ({ query }) => query(`SELECT * FROM "${table}" ORDER BY "createdAt"`))

  describe(`pairing of ${what}`, () => {
    it.scoped("creates a request at the first question, and returns a token once it has been answered", () =>
      Effect.gen(function* () {
        const key = newKey()
        const first = yield* ask(key)
        assert.strictEqual(first.statusCode, 200)
        assert.deepStrictEqual(first.json(), { state: "requested" })

        const { accountId, token } = yield* login()
        const answered = yield* answer(key, token)
        assert.strictEqual(answered.statusCode, 200)
        assert.deepStrictEqual(answered.json(), { success: true })

        const last = yield* ask(key)
        const body = last.json<{ readonly state: string; readonly token: string; readonly response: string }>()
        assert.deepStrictEqual(Object.keys(body).toSorted(), ["response", "state", "token"])
        assert.strictEqual(body.state, "authorized")
        assert.strictEqual(body.response, "sealed")
        const profile = yield* get("/v1/account/profile", body.token)
        assert.strictEqual(profile.json<{ id: string }>().id, accountId)
      }).pipe(Effect.provide(layer()))
    )

    it.scoped("writes for the first question only, whether or not there is an answer by then", () =>
      Effect.gen(function* () {
        const database = yield* TestDatabase
        const { token } = yield* login()
        const key = newKey()
        yield* forgetCounts
        yield* ask(key)
        assert.deepStrictEqual(database.writes, [Lane.control])
        yield* forgetCounts
        for (let second = 0; second < 60; second++) yield* ask(key)
        assert.deepStrictEqual(database.writes, [])
        assert.strictEqual(database.readCount, 60)

        yield* answer(key, token)
        yield* forgetCounts
        for (let second = 0; second < 10; second++) yield* ask(key)
        assert.deepStrictEqual(database.writes, [])
        assert.strictEqual(database.readCount, 20)
      }).pipe(Effect.provide(layer()))
    )

    it.scoped("keeps one request when a key is asked about twice at once", () =>
      Effect.gen(function* () {
        const key = newKey()
        const responses = yield* Effect.all([ask(key), ask(key), ask(key)], { concurrency: "unbounded" })
        for (const response of responses) assert.deepStrictEqual(response.json(), { state: "requested" })
        assert.strictEqual((yield* rows).length, 1)
      }).pipe(Effect.provide(layer()))
    )

    it.scoped("keeps the first answer: its account may repeat it, for others the request is gone", () =>
      Effect.gen(function* () {
        const database = yield* TestDatabase
        const [ada, bob] = [yield* login(), yield* login()]
        const key = newKey()
        yield* ask(key)
        yield* answer(key, ada.token, "from ada")
        yield* forgetCounts

        const repeated = yield* answer(key, ada.token, "from ada again")
        assert.strictEqual(repeated.statusCode, 200)
        const late = yield* answer(key, bob.token, "from bob")
        assert.strictEqual(late.statusCode, 404)
        assert.deepStrictEqual(late.json(), { error: "Request not found" })
        assert.deepStrictEqual(database.writes, [])
        const [row] = yield* rows
        assert.strictEqual(row?.["response"], "from ada")
        assert.strictEqual(row?.["responseAccountId"], ada.accountId)
      }).pipe(Effect.provide(layer()))
    )

    it.scoped("judges an answer that lost its race by the row that won", () =>
      Effect.gen(function* () {
        const database = yield* TestDatabase
        const [ada, bob] = [yield* login(), yield* login()]
        for (const [winner, status] of [
          [ada.accountId, 200],
          [bob.accountId, 404]
        ] as const) {
          const key = newKey()
          yield* ask(key)
          database.nextWrite = {
            _tag: "Before",
            run: () =>
              database.sqlite
                .prepare(`UPDATE "${table}" SET "response" = 'first', "responseAccountId" = ? WHERE "publicKey" = ?`)
                .run(winner, Buffer.from(key, "base64").toString("hex"))
          }
          assert.strictEqual((yield* answer(key, ada.token, "second")).statusCode, status)
          const stored = database.query(
            `SELECT "response" FROM "${table}" WHERE "publicKey" = ?`,
            Buffer.from(key, "base64").toString("hex")
          )
          assert.deepStrictEqual(stored, [{ response: "first" }])
        }
      }).pipe(Effect.provide(layer()))
    )

    it.scoped("answers 404 when there is no such request", () =>
      Effect.gen(function* () {
        const { token } = yield* login()
        const response = yield* answer(newKey(), token)
        assert.strictEqual(response.statusCode, 404)
        assert.deepStrictEqual(response.json(), { error: "Request not found" })
      }).pipe(Effect.provide(layer()))
    )

    it.scoped("requires a token for an answer", () =>
      Effect.gen(function* () {
        const key = newKey()
        yield* ask(key)
        const response = yield* post(`${path}/response`, { publicKey: key, response: "sealed" })
        assert.strictEqual(response.statusCode, 401)
        assert.isNull((yield* rows)[0]?.["response"])
      }).pipe(Effect.provide(layer()))
    )

    for (const [name, key] of [
      ["31 bytes", randomBytes(31).toString("base64")],
      ["33 bytes", randomBytes(33).toString("base64")],
      ["no bytes", ""],
      ["another alphabet", Buffer.alloc(32, 255).toString("base64url")],
      ["no padding", Buffer.alloc(32, 255).toString("base64").slice(0, 43)],
      ["bits behind its end", `${Buffer.alloc(32, 0).toString("base64").slice(0, 42)}B=`]
    ] as const) {
      it.scoped(`refuses a key of ${name}, and writes nothing`, () =>
        Effect.gen(function* () {
          const { token } = yield* login()
          const database = yield* TestDatabase
          yield* forgetCounts
          for (const response of [yield* ask(key), yield* answer(key, token)]) {
            assert.strictEqual(response.statusCode, 401)
            assert.deepStrictEqual(response.json(), { error: "Invalid public key" })
          }
          assert.deepStrictEqual(database.writes, [])
        }).pipe(Effect.provide(layer()))
      )
    }

    it.scoped("answers 400 to bodies that do not fit", () =>
      Effect.gen(function* () {
        const { token } = yield* login()
        for (const payload of [{}, { publicKey: 1 }, { publicKey: "A".repeat(2000) }, []]) {
          assert.strictEqual((yield* post(`${path}/request`, payload)).statusCode, 400)
        }
        for (const payload of [
          {},
          { publicKey: newKey() },
          { publicKey: newKey(), response: null },
          { publicKey: newKey(), response: "a".repeat(20_000) }
        ]) {
          const response = yield* post(`${path}/response`, payload, token)
          assert.strictEqual(response.statusCode, 400)
          assert.strictEqual(response.json<{ error: string }>().error, "Error")
        }
      }).pipe(Effect.provide(layer()))
    )

    it.scoped("forgets a request, and its answer, when its lifetime is over", () =>
      Effect.gen(function* () {
        const { token } = yield* login()
        const [unanswered, answered] = [newKey(), newKey()]
        yield* ask(unanswered)
        yield* ask(answered)
        yield* TestClock.adjust(minutes(10))
        yield* answer(answered, token)
        yield* TestClock.adjust(minutes(5))
        assert.strictEqual((yield* answer(unanswered, token)).statusCode, 404)
        // The answer lives as long as a request does.
        assert.strictEqual((yield* ask(answered)).json<{ state: string }>().state, "authorized")
        yield* TestClock.adjust(minutes(10))
        assert.deepStrictEqual((yield* ask(answered)).json(), { state: "requested" })
        assert.deepStrictEqual((yield* ask(unanswered)).json(), { state: "requested" })
      }).pipe(Effect.provide(layer()))
    )

    it.scoped("removes expired requests in one write of the maintenance lane, and then writes no more", () =>
      Effect.gen(function* () {
        const database = yield* TestDatabase
        for (let index = 0; index < 25; index++) yield* ask(newKey())
        yield* forgetCounts
        yield* TestClock.adjust(minutes(14))
        assert.deepStrictEqual(database.writes, [])
        assert.strictEqual((yield* rows).length, 25)
        yield* TestClock.adjust(minutes(10))
        assert.deepStrictEqual(database.writes, [Lane.maintenance])
        assert.strictEqual((yield* rows).length, 0)
      }).pipe(Effect.provide(layer()))
    )

    it.scoped("keeps a limited number of requests, the newest", () =>
      Effect.gen(function* () {
        const { token } = yield* login()
        const keys = Array.from({ length: 13 }, newKey)
        for (const key of keys) {
          yield* ask(key)
          yield* TestClock.adjust("1 second")
        }
        assert.strictEqual((yield* rows).length, 10)
        assert.strictEqual((yield* answer(keys[2] ?? "", token)).statusCode, 404)
        assert.strictEqual((yield* answer(keys[3] ?? "", token)).statusCode, 200)
      }).pipe(Effect.provide(layer({ pairing: { capacity: 10 } })))
    )

    it.scoped("keeps answers that may not be fetched yet for longer than newer requests without one", () =>
      Effect.gen(function* () {
        const { token } = yield* login()
        const answered = newKey()
        yield* ask(answered)
        yield* answer(answered, token)
        const keys = Array.from({ length: 20 }, newKey)
        for (const key of keys) {
          yield* TestClock.adjust("1 second")
          yield* ask(key)
        }
        assert.strictEqual((yield* rows).length, 10)
        assert.strictEqual((yield* ask(answered)).json<{ state: string }>().state, "authorized")
        assert.strictEqual((yield* answer(keys.at(-9) ?? "", token)).statusCode, 200)
        assert.strictEqual((yield* answer(keys.at(-10) ?? "", token)).statusCode, 404)
      }).pipe(Effect.provide(layer({ pairing: { capacity: 10 } })))
    )

    it.scoped("leaves half of the room to others, however many requests one account answers", () =>
      Effect.gen(function* () {
        const { token } = yield* login()
        const [mine, later] = [newKey(), newKey()]
        for (let index = 0; index < 12; index++) {
          const key = newKey()
          yield* ask(key)
          yield* answer(key, token)
          yield* TestClock.adjust("1 second")
        }
        yield* ask(mine)
        yield* TestClock.adjust("1 second")
        yield* ask(later)
        assert.strictEqual((yield* rows).length, 10)
        assert.strictEqual((yield* answer(mine, token)).statusCode, 200)
      }).pipe(Effect.provide(layer({ pairing: { capacity: 10 } })))
    )

    it.scoped("answers 503 with Retry-After when the request cannot be stored now", () =>
      Effect.gen(function* () {
        const database = yield* TestDatabase
        database.nextWrite = {
          _tag: "Fail",
          error: new DatabaseBusy({ lane: Lane.control, code: "SQLITE_BUSY", attempts: 3 })
        }
        const response = yield* ask(newKey())
        assert.strictEqual(response.statusCode, 503)
        assert.isDefined(response.headers["retry-after"])
      }).pipe(Effect.provide(layer()))
    )

    it.scoped("lives as long in a file whose times are text", () =>
      Effect.gen(function* () {
        const { token } = yield* login()
        const [early, late] = [newKey(), newKey()]
        yield* ask(early)
        yield* TestClock.adjust(minutes(14))
        yield* ask(late)
        assert.deepStrictEqual(
          (yield* rows).map((row) => typeof row["updatedAt"]),
          ["string", "string"]
        )
        yield* TestClock.adjust(minutes(2))
        assert.strictEqual((yield* rows).length, 1)
        assert.strictEqual((yield* answer(early, token)).statusCode, 404)
        assert.strictEqual((yield* answer(late, token)).statusCode, 200)
      }).pipe(Effect.provide(layer().pipe(Layer.provide(Layer.succeed(TimeForm.TimeForm, TimeForm.iso)))))
    )

    it.scoped("finds a key that another server stored in capital letters", () =>
      Effect.gen(function* () {
        const database = yield* TestDatabase
        const { token } = yield* login()
        const key = newKey()
        yield* ask(key)
        database.sqlite.exec(`UPDATE "${table}" SET "publicKey" = upper("publicKey")`)
        assert.strictEqual((yield* answer(key, token)).statusCode, 200)
        assert.strictEqual((yield* ask(key)).json<{ state: string }>().state, "authorized")
        assert.strictEqual((yield* rows).length, 1)
      }).pipe(Effect.provide(layer()))
    )
  })
}

describe("status of pairing", () => {
  it.scoped("returns the status of a request, without a write", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase
      const { token } = yield* login()
      const [old, newer] = [newKey(), newKey()]
      assert.deepStrictEqual(yield* statusOf(old), { status: "not_found", supportsV2: false })
      assert.deepStrictEqual(yield* statusOf("no key"), { status: "not_found", supportsV2: false })
      yield* post("/v1/auth/request", { publicKey: old })
      yield* post("/v1/auth/request", { publicKey: newer, supportsV2: true })
      yield* forgetCounts
      assert.deepStrictEqual(yield* statusOf(old), { status: "pending", supportsV2: false })
      assert.deepStrictEqual(yield* statusOf(newer), { status: "pending", supportsV2: true })
      assert.deepStrictEqual(database.writes, [])
      yield* post("/v1/auth/response", { publicKey: newer, response: "sealed" }, token)
      assert.deepStrictEqual(yield* statusOf(newer), { status: "authorized", supportsV2: true })
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("answers 400 without a key", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* get("/v1/auth/request/status")).statusCode, 400)
    }).pipe(Effect.provide(layer()))
  )
})
