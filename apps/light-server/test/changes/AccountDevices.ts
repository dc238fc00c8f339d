/**
 * Two devices and an agent of one account, the answers they received, and what
 * the tables hold.
 */
import { assert } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { randomUUID } from "node:crypto"
import * as FileDatabase from "../support/FileDatabase.ts"
import * as Replica from "../support/Replica.ts"
import { addAccount } from "proving/drivers/Rows"
import { agent, type Client, TestServer } from "../support/TestServer.ts"

/** The model: only what the answers contained. */
export interface Promises {
  /** The newest session of each tag. */
  readonly sessions: Map<string, string>
  /** Ciphertext by `session seq`. */
  readonly messages: Map<string, string>
  /** Successful replacements by `session text`. */
  readonly replaced: Map<string, number>
  readonly deleted: Set<string>
  /** Whether the device that connects and disconnects is connected. */
  isMovingHere: boolean
  /** Writes that took a cursor. */
  cursors: number
}

export const noPromises = (): Promises => ({
  sessions: new Map(),
  messages: new Map(),
  replaced: new Map(),
  deleted: new Set(),
  isMovingHere: true,
  cursors: 1
})

export interface AccountDevices {
  readonly accountId: string
  /** Always connected. */
  readonly steady: Replica.Replica
  /** Connects and disconnects. */
  readonly moving: Replica.Replica
  readonly agent: Client
  /** Versions of states that the agent has received. */
  readonly versions: Map<string, number>
  /** The number of values and messages so far, so that each is different. */
  count: number
}

export const make: Effect.Effect<AccountDevices, never, TestServer | FileDatabase.FileDatabase | Scope.Scope> =
  Effect.gen(function* () {
    const server = yield* TestServer
    const accountId = randomUUID()
    addAccount(yield* FileDatabase.FileDatabase, accountId)
    const [steady, moving] = yield* Effect.all([Replica.make(accountId, "steady"), Replica.make(accountId, "moving")])
    yield* steady.arrive
    yield* moving.arrive
    const { body } = yield* steady.request("POST", "/v1/sessions", { tag: "of the agent", metadata: "new" })
    return {
      accountId,
      steady,
      moving,
      agent: yield* server.connect(agent(accountId, body.session.id)),
      versions: new Map(),
      count: 0
    }
  })

/** The content of the tables, in the form of a replica. */
const truthOf = (accountId: string) =>
  Effect.map(FileDatabase.FileDatabase, ({ query }) => {
    const sessions = new Map<string, Replica.Copy>()
    for (const row of query(`SELECT * FROM "Session" WHERE "accountId" = ?`, accountId)) {
      sessions.set(String(row["id"]), {
        metadata: { value: String(row["metadata"]), version: Number(row["metadataVersion"]) },
        agentState: { value: row["agentState"] as string | null, version: Number(row["agentStateVersion"]) },
        messages: new Map()
      })
    }
    for (const row of query(`SELECT "sessionId", "seq", "content" ->> 'c' AS c FROM "SessionMessage" ORDER BY "seq"`)) {
      sessions.get(String(row["sessionId"]))?.messages.set(Number(row["seq"]), String(row["c"]))
    }
    return sessions
  })

const plain = (sessions: ReadonlyMap<string, Replica.Copy>) =>
  [...sessions]
    .map(([id, { messages, ...texts }]) => ({ id, ...texts, messages: [...messages].toSorted(([a], [b]) => a - b) }))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))

const checkPromises = (accountId: string, promises: Promises, sessions: ReadonlyMap<string, Replica.Copy>) =>
  Effect.map(FileDatabase.FileDatabase, ({ query }) => {
    for (const id of promises.deleted) assert.isFalse(sessions.has(id), "a deleted session is there")
    for (const [key, ciphertext] of promises.messages) {
      const [id = "", seq] = key.split(" ")
      if (promises.deleted.has(id)) continue
      assert.strictEqual(sessions.get(id)?.messages.get(Number(seq)), ciphertext, `message ${key}`)
    }
    for (const [id, { metadata, agentState, messages }] of sessions) {
      assert.strictEqual(metadata.version, promises.replaced.get(`${id} metadata`) ?? 0, "version of the metadata")
      assert.strictEqual(agentState.version, promises.replaced.get(`${id} agentState`) ?? 0, "version of the state")
      assert.deepStrictEqual(
        [...messages.keys()],
        Array.from(messages, (_, index) => index + 1),
        "numbers of messages"
      )
    }
    const [account] = query(`SELECT "seq" FROM "Account" WHERE "id" = ?`, accountId)
    assert.strictEqual(account?.["seq"], promises.cursors, "cursor of the account")
    const [newest] = query(`SELECT max("cursor") AS cursor FROM "AccountChange" WHERE "accountId" = ?`, accountId)
    assert.strictEqual(newest?.["cursor"], promises.cursors, "newest line of the feed")
  })

/** Every answer holds, and a device that was away, or is new, ends with what the tables hold. */
export const checkAll = ({ accountId, moving, steady }: AccountDevices, promises: Promises) =>
  Effect.gen(function* () {
    const sessions = yield* truthOf(accountId)
    yield* checkPromises(accountId, promises, sessions)
    const has = (replica: Replica.Replica, who: string) =>
      assert.deepStrictEqual(plain(replica.sessions), plain(sessions), who)
    yield* steady.settled
    has(steady, "the device that was never away")
    const cursors = steady.cursors()
    assert.deepStrictEqual(
      cursors,
      [...new Set(cursors)].toSorted((a, b) => a - b),
      "updates come in the order of their cursors, each with one of its own"
    )
    yield* moving.leave
    yield* moving.arrive
    has(moving, "the device that came and went")
    const late = yield* Replica.make(accountId, "late")
    yield* late.arrive
    has(late, "the device that knew nothing")
  })
