import { assert, describe, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import { Presence } from "../../src/entities/Presence.ts"
import * as PresenceKey from "../../src/entities/PresenceKey.ts"
import { DatabaseBusy, WriteUnconfirmed } from "presence-effect/writer/WriterError"
import * as Lane from "presence-effect/writer/Lane"
import { ReadFailed } from "../../src/database/DatabaseReader.ts"
import { hangUpDuring } from "../support/HangUp.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { app, authorized, type Client, daemon, layerWith, TestServer } from "../support/TestServer.ts"

const register = (accountId: string, payload: object) =>
  Effect.flatMap(TestServer, ({ inject }) =>
    inject({ method: "POST", url: "/v1/machines", headers: authorized(accountId), payload })
  )

const get = (accountId: string, url: string) =>
  Effect.flatMap(TestServer, ({ inject }) => inject({ method: "GET", url, headers: authorized(accountId) }))

const twoAccounts = Effect.tap(TestDatabase, (database) => {
  database.addAccount("a1")
  database.addAccount("a2")
})

const unconfirmed = new WriteUnconfirmed({ lane: Lane.control, reason: "hold-limit", heldMillis: 500 })

const m1 = { id: "m1", metadata: "sealed", daemonState: "state", dataEncryptionKey: "a2V5" }

describe("MachineRoutes", () => {
  describe("POST /v1/machines", () => {
    it.scoped("creates an offline machine and answers 200 with its exact shape", () =>
      Effect.gen(function* () {
        const database = yield* twoAccounts
        const before = Date.now()
        const response = yield* register("a1", m1)
        assert.strictEqual(response.statusCode, 200)
        const { machine } = response.json<{ machine: Record<string, unknown> }>()
        assert.isAtLeast(Number(machine["activeAt"]), before)
        assert.deepStrictEqual(machine, {
          id: "m1",
          metadata: "sealed",
          metadataVersion: 1,
          daemonState: "state",
          daemonStateVersion: 1,
          dataEncryptionKey: "a2V5",
          active: false,
          activeAt: machine["activeAt"],
          createdAt: machine["activeAt"],
          updatedAt: machine["activeAt"]
        })
        assert.deepStrictEqual(database.query(`SELECT "seq" FROM "Account" WHERE "id" = ?`, "a1"), [{ seq: 1 }])
        assert.deepStrictEqual(database.writes, [Lane.control])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("begins with state version 0 when no state is given", () =>
      Effect.gen(function* () {
        yield* twoAccounts
        const response = yield* register("a1", { id: "m1", metadata: "sealed", dataEncryptionKey: null })
        const { machine } = response.json<{ machine: Record<string, unknown> }>()
        assert.strictEqual(machine["daemonState"], null)
        assert.strictEqual(machine["daemonStateVersion"], 0)
        assert.strictEqual(machine["dataEncryptionKey"], null)
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers a known machine unchanged, without any write", () =>
      Effect.gen(function* () {
        const database = yield* twoAccounts
        const first = yield* register("a1", m1)
        const second = yield* register("a1", { ...m1, metadata: "other" })
        assert.strictEqual(second.statusCode, 200)
        assert.deepStrictEqual(second.json(), first.json())
        assert.strictEqual(database.writes.length, 1)
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers 409 for the machine of another account, and changes nothing", () =>
      Effect.gen(function* () {
        const database = yield* twoAccounts
        yield* register("a1", m1)
        const response = yield* register("a2", m1)
        assert.strictEqual(response.statusCode, 409)
        assert.strictEqual(response.json<{ error: string }>().error, "machine_id_conflict")
        assert.isString(response.json<{ message: string }>().message)
        assert.deepStrictEqual(database.query(`SELECT "seq" FROM "Account" WHERE "id" = ?`, "a2"), [{ seq: 0 }])
        assert.strictEqual(database.writes.length, 1)
      }).pipe(Effect.provide(layerWith()))
    )

    const insertRival = (database: TestDatabase["Type"], accountId: string) => () => {
      database.sqlite
        .prepare(
          `INSERT INTO "Machine"
             ("id", "accountId", "metadata", "metadataVersion", "lastActiveAt", "createdAt", "updatedAt")
           VALUES ('m1', ?, 'winner', 1, 5, 5, 5)`
        )
        .run(accountId)
    }

    it.scoped("answers 200 with the winner's row when it loses the race of two inserts", () =>
      Effect.gen(function* () {
        const database = yield* twoAccounts
        database.nextWrite = { _tag: "Before", run: insertRival(database, "a1") }
        const response = yield* register("a1", m1)
        assert.strictEqual(response.statusCode, 200)
        assert.strictEqual(response.json<{ machine: { metadata: string } }>().machine.metadata, "winner")
        assert.deepStrictEqual(database.query(`SELECT "seq" FROM "Account" WHERE "id" = ?`, "a1"), [{ seq: 0 }])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers 409 when another account wins the race", () =>
      Effect.gen(function* () {
        const database = yield* twoAccounts
        database.nextWrite = { _tag: "Before", run: insertRival(database, "a2") }
        assert.strictEqual((yield* register("a1", m1)).statusCode, 409)
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers 401 when the account of the token is gone", () =>
      Effect.gen(function* () {
        const response = yield* register("nobody", m1)
        assert.strictEqual(response.statusCode, 401)
        assert.deepStrictEqual(response.json(), { error: "Invalid token" })
      }).pipe(Effect.provide(layerWith()))
    )

    for (const error of [new DatabaseBusy({ lane: Lane.control, code: "SQLITE_BUSY", attempts: 3 }), unconfirmed]) {
      it.scoped(`answers 503 with Retry-After, and never a stale row, on ${error._tag}`, () =>
        Effect.gen(function* () {
          const database = yield* twoAccounts
          database.nextWrite = { _tag: "Fail", error }
          const response = yield* register("a1", m1)
          assert.strictEqual(response.statusCode, 503)
          assert.isDefined(response.headers["retry-after"])
          const body = response.json<Record<string, unknown>>()
          assert.isString(body["error"])
          assert.strictEqual(body["code"], error._tag)
          assert.strictEqual(body["retryable"], true)
          assert.isNumber(body["retryAfterMs"])
        }).pipe(Effect.provide(layerWith()))
      )
    }

    it.scoped("announces a machine whose write was not confirmed, and answers with it, once it is found", () =>
      Effect.gen(function* () {
        const database = yield* twoAccounts
        const server = yield* TestServer
        const mine = yield* server.connect(app("a1"))
        database.nextWrite = { _tag: "Lost", error: unconfirmed }
        assert.strictEqual((yield* register("a1", m1)).statusCode, 200)
        const created = (yield* mine.next("update")) as { readonly seq: number; readonly body: object }
        assert.deepInclude(created.body, { t: "new-machine", machineId: "m1" })
        assert.strictEqual(created.seq, 1)
        assert.deepInclude((yield* mine.next("update")) as object, { seq: 1 })
        yield* register("a1", m1)
        assert.deepStrictEqual(yield* mine.rest("update"), [])
      }).pipe(Effect.provide(layerWith()))
    )

    for (const [when, isKnown] of [
      ["is known by then", true],
      ["wins the race for the id", false]
    ] as const) {
      it.scoped(`announces a machine that is committed late when its daemon asks again, and it ${when}`, () =>
        Effect.gen(function* () {
          const database = yield* twoAccounts
          const server = yield* TestServer
          const mine = yield* server.connect(app("a1"))
          let commit: Effect.Effect<void> = Effect.void
          database.nextWrite = { _tag: "Late", error: unconfirmed, hold: (effect) => void (commit = effect) }
          assert.strictEqual((yield* register("a1", m1)).statusCode, 503)
          if (isKnown) yield* commit
          else database.nextWrite = { _tag: "Before", run: () => Effect.runSync(commit) }
          assert.deepStrictEqual(yield* mine.rest("update"), [])
          assert.strictEqual((yield* register("a1", m1)).statusCode, 200)
          yield* register("a1", m1)
          const updates = (yield* mine.rest("update")) as ReadonlyArray<{ readonly body: { readonly t: string } }>
          assert.deepStrictEqual(
            updates.map(({ body }) => body.t),
            ["new-machine", "update-machine"]
          )
        }).pipe(Effect.provide(layerWith()))
      )
    }

    it.scoped("does not announce a machine that another account got while a write was not confirmed", () =>
      Effect.gen(function* () {
        const database = yield* twoAccounts
        const server = yield* TestServer
        const mine = yield* server.connect(app("a1"))
        database.nextWrite = { _tag: "Fail", error: unconfirmed }
        assert.strictEqual((yield* register("a1", m1)).statusCode, 503)
        insertRival(database, "a2")()
        assert.strictEqual((yield* register("a1", m1)).statusCode, 409)
        assert.deepStrictEqual(yield* mine.rest("update"), [])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers 503 when the read side fails", () =>
      Effect.gen(function* () {
        const database = yield* twoAccounts
        database.nextReadFailure = new ReadFailed({ code: "SQLITE_BUSY", detail: "test" })
        assert.strictEqual((yield* register("a1", m1)).statusCode, 503)
      }).pipe(Effect.provide(layerWith()))
    )

    for (const [what, payload] of [
      ["no id", { metadata: "sealed" }],
      ["an empty id", { id: "", metadata: "sealed" }],
      ["an endless id", { id: "m".repeat(129), metadata: "sealed" }],
      ["no metadata", { id: "m1" }],
      ["metadata that is no text", { id: "m1", metadata: { host: "h" } }],
      ["a state that is no text", { id: "m1", metadata: "sealed", daemonState: 1 }],
      ["a key that is no base64", { id: "m1", metadata: "sealed", dataEncryptionKey: "%%%" }],
      ["a list", ["m1"]]
    ] as const) {
      it.scoped(`answers 400 for ${what}`, () =>
        Effect.gen(function* () {
          const database = yield* twoAccounts
          const response = yield* register("a1", payload)
          assert.strictEqual(response.statusCode, 400)
          assert.strictEqual(response.json<{ error: string }>().error, "Error")
          assert.match(response.json<{ message: string }>().message, /^body/)
          assert.deepStrictEqual(database.writes, [])
        }).pipe(Effect.provide(layerWith()))
      )
    }

    it.scoped("announces a new machine once, both updates with the cursor of the account", () =>
      Effect.gen(function* () {
        yield* twoAccounts
        const server = yield* TestServer
        const mine = yield* server.connect(app("a1"))
        const foreign = yield* server.connect(app("a2"))
        yield* register("a1", m1)
        yield* register("a1", m1)
        const created = (yield* mine.next("update")) as Record<string, unknown>
        const metadata = (yield* mine.next("update")) as Record<string, unknown>
        assert.deepStrictEqual(Object.keys(created).toSorted(), ["body", "createdAt", "id", "seq"])
        assert.match(String(created["id"]), /^[A-Za-z0-9]{12}$/)
        assert.strictEqual(created["seq"], 1)
        const body = created["body"] as Record<string, unknown>
        assert.deepStrictEqual(body, {
          t: "new-machine",
          machineId: "m1",
          seq: 0,
          metadata: "sealed",
          metadataVersion: 1,
          daemonState: "state",
          daemonStateVersion: 1,
          dataEncryptionKey: "a2V5",
          active: false,
          activeAt: body["activeAt"],
          createdAt: body["createdAt"],
          updatedAt: body["updatedAt"]
        })
        assert.strictEqual(metadata["seq"], 1)
        assert.deepStrictEqual(metadata["body"], {
          t: "update-machine",
          machineId: "m1",
          metadata: { value: "sealed", version: 1 }
        })
        assert.deepStrictEqual(yield* mine.rest("update"), [])
        assert.deepStrictEqual(yield* foreign.rest("update"), [])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("announces a machine whose daemon disconnects before the answer", () =>
      Effect.gen(function* () {
        yield* twoAccounts
        const server = yield* TestServer
        const mine = yield* server.connect(app("a1"))
        yield* hangUpDuring(server.url, { path: "/v1/machines", headers: authorized("a1"), payload: m1 })
        assert.deepInclude(((yield* mine.next("update")) as { readonly body: object }).body, { t: "new-machine" })
        const again = yield* register("a1", m1)
        assert.strictEqual(again.statusCode, 200)
      }).pipe(Effect.provide(layerWith()))
    )
  })

  describe("GET", () => {
    it.scoped("lists the machines of the account, the last active first, online as in memory", () =>
      Effect.gen(function* () {
        yield* twoAccounts
        const presence = yield* Presence
        yield* register("a1", { id: "m1", metadata: "one" })
        yield* register("a1", { id: "m2", metadata: "two" })
        yield* register("a2", { id: "m3", metadata: "three" })
        const later = Date.now() + 60_000
        presence.beat(PresenceKey.machine("a1", "m1"), later)
        const response = yield* get("a1", "/v1/machines")
        assert.strictEqual(response.statusCode, 200)
        const machines = response.json<ReadonlyArray<Record<string, unknown>>>()
        assert.deepStrictEqual(
          machines.map(({ id, active, seq }) => ({ id, active, seq })),
          [
            { id: "m1", active: true, seq: 0 },
            { id: "m2", active: false, seq: 0 }
          ]
        )
        assert.strictEqual(machines[0]?.["activeAt"], later)
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("lists the last active up to 8 MiB, and marks in a header that there are more", () =>
      Effect.gen(function* () {
        const database = yield* twoAccounts
        for (const id of ["m1", "m2", "m3"]) yield* register("a1", { id, metadata: "sealed" })
        database.sqlite.exec(`UPDATE "Machine" SET "daemonState" = '${"x".repeat(3 * 1024 * 1024)}',
          "lastActiveAt" = iif("id" = 'm2', '2026-02-01T12:00:00.000Z', "lastActiveAt" + substr("id", 2))`)
        const cut = yield* get("a1", "/v1/machines")
        assert.deepStrictEqual(
          cut.json<ReadonlyArray<{ id: string }>>().map(({ id }) => id),
          ["m3", "m1"]
        )
        assert.strictEqual(cut.headers["x-list-cut"], "bytes")
        database.sqlite.exec(`UPDATE "Machine" SET "daemonState" = NULL WHERE "id" = 'm2'`)
        const whole = yield* get("a1", "/v1/machines")
        assert.strictEqual(whole.json<ReadonlyArray<object>>().length, 3)
        assert.isUndefined(whole.headers["x-list-cut"])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("lists what can be read beside a row that cannot, and answers 500 for that one", () =>
      Effect.gen(function* () {
        const database = yield* twoAccounts
        for (const id of ["m1", "m2"]) yield* register("a1", { id, metadata: "sealed" })
        database.sqlite.exec(`UPDATE "Machine" SET "createdAt" = 'once upon a time' WHERE "id" = 'm1'`)
        const listed = yield* get("a1", "/v1/machines")
        assert.deepStrictEqual(
          listed.json<ReadonlyArray<{ id: string }>>().map(({ id }) => id),
          ["m2"]
        )
        for (const response of [yield* get("a1", "/v1/machines/m1"), yield* register("a1", m1)]) {
          assert.strictEqual(response.statusCode, 500)
          assert.deepInclude(response.json<object>(), { code: "ReadFailed", retryable: false })
        }
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers one machine with seq, and 404 for a missing or foreign one", () =>
      Effect.gen(function* () {
        yield* twoAccounts
        yield* register("a1", m1)
        const found = yield* get("a1", "/v1/machines/m1")
        assert.strictEqual(found.statusCode, 200)
        assert.strictEqual(found.json<{ machine: { seq: number } }>().machine.seq, 0)
        for (const missing of [yield* get("a1", "/v1/machines/m2"), yield* get("a2", "/v1/machines/m1")]) {
          assert.strictEqual(missing.statusCode, 404)
          assert.deepStrictEqual(missing.json(), { error: "Machine not found" })
        }
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("asks for the token before it reads the body", () =>
      Effect.gen(function* () {
        const { inject } = yield* TestServer
        const headers = { "content-type": "application/json" }
        const response = yield* inject({ method: "POST", url: "/v1/machines", headers, payload: "{ no JSON" })
        assert.deepStrictEqual([response.statusCode, response.json()], [401, { error: "Missing authorization header" }])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers 401 without a token and with a wrong one", () =>
      Effect.gen(function* () {
        const { inject } = yield* TestServer
        for (const url of ["/v1/machines", "/v1/machines/m1"]) {
          const none = yield* inject({ method: "GET", url })
          assert.deepStrictEqual([none.statusCode, none.json()], [401, { error: "Missing authorization header" }])
          const wrong = yield* inject({ method: "GET", url, headers: { authorization: "Bearer junk" } })
          assert.deepStrictEqual([wrong.statusCode, wrong.json()], [401, { error: "Invalid token" }])
        }
      }).pipe(Effect.provide(layerWith()))
    )
  })

  describe("a machine that another server of the file has revoked", () => {
    const revoked = Effect.gen(function* () {
      const database = yield* twoAccounts
      yield* register("a1", m1)
      yield* register("a1", { id: "m2", metadata: "sealed" })
      return Effect.suspend(() => {
        database.sqlite.exec(`INSERT INTO "PresenceMachineRevocation" VALUES ('m1', 1769947200000)`)
        // Who remembers a row for a millisecond has forgotten it then.
        return TestClock.adjust("2 millis")
      })
    })

    it.scoped("is refused with 410 when it registers or is asked for, and is not listed", () =>
      Effect.gen(function* () {
        yield* yield* revoked
        for (const response of [yield* register("a1", m1), yield* get("a1", "/v1/machines/m1")]) {
          assert.strictEqual(response.statusCode, 410)
          assert.deepStrictEqual(response.json(), { error: "machine_revoked" })
        }
        const listed = (yield* get("a1", "/v1/machines")).json<ReadonlyArray<{ id: string }>>()
        assert.deepStrictEqual(
          listed.map(({ id }) => id),
          ["m2"]
        )
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("is answered to another account as before", () =>
      Effect.gen(function* () {
        yield* yield* revoked
        assert.strictEqual((yield* register("a2", m1)).statusCode, 409)
        assert.strictEqual((yield* get("a2", "/v1/machines/m1")).statusCode, 404)
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("is refused for good when its daemon connects", () =>
      Effect.gen(function* () {
        yield* yield* revoked
        const server = yield* TestServer
        const refused = yield* server.client(daemon("a1", "m1"))
        refused.socket.connect()
        assert.deepStrictEqual(yield* refused.next("error"), { message: "machine_revoked" })
        assert.strictEqual(yield* refused.next("disconnect"), "io server disconnect")
      }).pipe(Effect.provide(layerWith({ validityTtl: "1 millis" })))
    )

    for (const [notices, notice] of [
      [
        "its next sign of life",
        (mine: Client) => Effect.sync(() => mine.emit("machine-alive", { machineId: "m1", time: 1 }))
      ],
      ["its registration", () => register("a1", m1)],
      ["a request for it", () => get("a1", "/v1/machines/m1")]
    ] as const) {
      it.scoped(`loses the socket it has open with ${notices}, and no other socket is closed`, () =>
        Effect.gen(function* () {
          const revoke = yield* revoked
          const server = yield* TestServer
          const mine = yield* server.connect(daemon("a1", "m1"))
          const others = [yield* server.connect(app("a1")), yield* server.connect(daemon("a1", "m2"))]
          yield* revoke
          yield* notice(mine)
          assert.deepStrictEqual(yield* mine.next("error"), { message: "machine_revoked" })
          assert.strictEqual(yield* mine.next("disconnect"), "io server disconnect")
          for (const other of others) {
            yield* other.flush
            assert.isTrue(other.socket.connected)
          }
        }).pipe(Effect.provide(layerWith({ validityTtl: "1 millis" })))
      )
    }

    it.scoped("can no longer be changed", () =>
      Effect.gen(function* () {
        const database = yield* TestDatabase
        const revoke = yield* revoked
        const server = yield* TestServer
        const mine = yield* server.connect(app("a1"))
        const update = { machineId: "m1", metadata: "newer", expectedVersion: 1 }
        // It is remembered as one of the account.
        yield* revoke
        const ack = yield* mine.ask("machine-update-metadata", update)
        assert.deepStrictEqual(ack, { result: "error", message: "machine_revoked" })
        assert.deepStrictEqual(database.query(`SELECT "metadataVersion" FROM "Machine" WHERE "id" = 'm1'`), [
          { metadataVersion: 1 }
        ])
      }).pipe(Effect.provide(layerWith()))
    )
  })

  it.scoped("lets a daemon connect right after its registration", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      const early = yield* server.client(daemon("a1", "m1"))
      early.socket.connect()
      yield* early.next("transport")
      yield* register("a1", m1)
      yield* early.next("connect")
      assert.deepStrictEqual(yield* early.rest("error"), [])
    }).pipe(Effect.provide(layerWith()))
  )
})
