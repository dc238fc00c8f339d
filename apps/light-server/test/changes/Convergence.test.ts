/**
 * Goal: whatever devices and an agent of one account do at the same time, and
 * whenever they are away, in the end each of them has what the server has.
 * Method: batches of random actions against the real writer on a real file,
 * each batch at once; replicas compared with the tables. `CONVERGENCE_SEED`
 * repeats a run.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Random } from "effect"
import * as FileDatabase from "../support/FileDatabase.ts"
import * as PresenceProbe from "../support/PresenceProbe.ts"
import * as Replica from "../support/Replica.ts"
import { addAccount } from "../support/Rows.ts"
import { agent, type Client, layerOver, TestServer } from "../support/TestServer.ts"

const given = process.env["CONVERGENCE_SEED"]

const seeds = given === undefined ? Array.from({ length: 4 }, () => Math.floor(Math.random() * 1e9)) : [Number(given)]

const batches = 100

const layer = layerOver(Layer.merge(FileDatabase.layer, PresenceProbe.layer))

/** What was promised to whoever asked. */
interface Promises {
  /** Ciphertext by `session seq`. */
  readonly messages: Map<string, string>
  /** Successful replacements by `session text`. */
  readonly replaced: Map<string, number>
  readonly deleted: Set<string>
  /** Writes that took a cursor. */
  cursors: number
}

interface World {
  readonly devices: ReadonlyArray<Replica.Replica>
  readonly promises: Promises
  readonly sessionIds: Array<string>
  agentClient: Client
  count: number
}

const some = <A>(items: ReadonlyArray<A>) => Effect.map(Random.nextIntBetween(0, items.length), (index) => items[index])

/** Mostly one that is there; a device may also mean one that is gone. */
const known = ({ promises, sessionIds }: World) =>
  Effect.gen(function* () {
    const isAny = (yield* Random.nextIntBetween(0, 5)) === 0
    const candidates = isAny ? sessionIds : sessionIds.filter((id) => !promises.deleted.has(id))
    return (yield* some(candidates)) ?? "none"
  })

const replacedOne = ({ promises }: World, id: string, text: string) => {
  const key = `${id} ${text}`
  promises.replaced.set(key, (promises.replaced.get(key) ?? 0) + 1)
}

const open = (world: World, device: Replica.Replica) =>
  Effect.gen(function* () {
    const tag = `tag ${yield* Random.nextIntBetween(0, 6)}`
    const { status, body } = yield* device.request("POST", "/v1/sessions", { tag, metadata: "new" })
    assert.strictEqual(status, 200)
    if (world.sessionIds.includes(body.session.id)) return
    world.sessionIds.push(body.session.id)
    world.promises.cursors += 1
  })

const stored = (world: World, id: string, seq: number, ciphertext: string) => {
  const key = `${id} ${seq}`
  const before = world.promises.messages.get(key)
  assert.include([undefined, ciphertext], before, `one number for two messages: ${key}`)
  if (before === undefined) world.promises.cursors += 1
  world.promises.messages.set(key, ciphertext)
}

/** Sends a message, and sometimes the same one again at once. */
const send = (world: World, client: Client, device: Replica.Replica | undefined) =>
  Effect.gen(function* () {
    const sid = yield* known(world)
    const localId = `local ${(world.count += 1)}`
    const times = (yield* Random.nextBoolean) ? 1 : 2
    const message = `text of ${localId}`
    const acks = yield* Effect.forEach(
      Array.from({ length: times }),
      () => client.ask("message", { sid, message, localId }),
      { concurrency: "unbounded" }
    )
    for (const ack of acks) {
      const { ok, seq, error } = ack as { readonly ok: boolean; readonly seq: number; readonly error: string }
      if (!ok) {
        assert.strictEqual(error, "session-not-found")
        continue
      }
      stored(world, sid, seq, message)
      device?.applyMessage(sid, seq, message)
    }
  })

const post = (world: World, device: Replica.Replica) =>
  Effect.gen(function* () {
    const sid = yield* known(world)
    const localId = `local ${(world.count += 1)}`
    const ciphertext = `text of ${localId}`
    const { status, body } = yield* device.request("POST", `/v2/sessions/${sid}/messages`, { ciphertext, localId })
    assert.include([200, 404], status)
    if (status === 200) stored(world, sid, body.message.seq, ciphertext)
  })

/** Replaces a text at the version that the device knows, and takes the current one from the answer. */
const replace = (world: World, device: Replica.Replica) =>
  Effect.gen(function* () {
    const id = yield* known(world)
    const copy = device.sessions.get(id)
    const client = device.client()
    if (copy === undefined || copy.metadata.version < 0) return
    const value = `value ${(world.count += 1)}`
    if (client !== undefined && (yield* Random.nextBoolean)) {
      const expectedVersion = copy.agentState.version
      const ack = yield* client.ask("update-state", { sid: id, agentState: value, expectedVersion })
      const { result, version, agentState } = ack as { result: string; version: number; agentState: string | null }
      if (result === "forbidden") return
      assert.include(["success", "version-mismatch"], result)
      device.applyText(id, "agentState", { value: agentState, version })
      if (result !== "success") return
      replacedOne(world, id, "agentState")
      world.promises.cursors += 1
    } else {
      const metadata = { ciphertext: value, expectedVersion: copy.metadata.version }
      const { status, body } = yield* device.request("PATCH", `/v2/sessions/${id}`, { metadata })
      if (status === 404) return
      assert.strictEqual(status, 200)
      device.applyText(id, "metadata", { value, ...body.metadata })
      if (!body.success) return
      replacedOne(world, id, "metadata")
      world.promises.cursors += 1
    }
  })

const remove = (world: World, device: Replica.Replica) =>
  Effect.gen(function* () {
    const id = yield* known(world)
    const { status } = yield* device.request("DELETE", `/v1/sessions/${id}`)
    assert.include([200, 404], status)
    if (status === 404) return
    assert.isFalse(world.promises.deleted.has(id), "deleted twice")
    world.promises.deleted.add(id)
    world.promises.cursors += 1
  })

const act = (world: World, device: Replica.Replica) =>
  Effect.gen(function* () {
    const dice = yield* Random.nextIntBetween(0, 40)
    const client = device.client()
    if (dice < 3) return yield* open(world, device)
    if (dice < 4) return yield* remove(world, device)
    if (dice < 16) return yield* replace(world, device)
    if (dice < 20) return yield* post(world, device)
    if (dice < 26) return yield* send(world, world.agentClient, undefined)
    if (client === undefined) return yield* device.arrive
    if (dice < 31 && device.name !== "steady") return yield* device.leave
    return yield* send(world, client, device)
  })

/** What the tables hold, in the words of a replica. */
const truth = Effect.map(FileDatabase.FileDatabase, ({ query }) => {
  const sessions = new Map<string, Replica.Copy>()
  for (const row of query(`SELECT * FROM "Session"`)) {
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

const checkPromises = ({ promises }: World, sessions: ReadonlyMap<string, Replica.Copy>) =>
  Effect.map(FileDatabase.FileDatabase, ({ query }) => {
    for (const id of promises.deleted) assert.isFalse(sessions.has(id))
    for (const [key, ciphertext] of promises.messages) {
      const [id = "", seq] = key.split(" ")
      if (promises.deleted.has(id)) continue
      assert.strictEqual(sessions.get(id)?.messages.get(Number(seq)), ciphertext, key)
    }
    for (const [id, { metadata, agentState, messages }] of sessions) {
      assert.strictEqual(metadata.version, promises.replaced.get(`${id} metadata`) ?? 0)
      assert.strictEqual(agentState.version, promises.replaced.get(`${id} agentState`) ?? 0)
      assert.deepStrictEqual(
        [...messages.keys()],
        Array.from(messages, (_, index) => index + 1)
      )
    }
    const [account] = query(`SELECT "seq" FROM "Account"`)
    assert.strictEqual(account?.["seq"], promises.cursors)
    const [newest] = query(`SELECT max("cursor") AS cursor FROM "AccountChange"`)
    assert.strictEqual(newest?.["cursor"], promises.cursors)
  })

const run = Effect.gen(function* () {
  const server = yield* TestServer
  addAccount(yield* FileDatabase.FileDatabase, "a1")
  const [steady, moving] = yield* Effect.all([Replica.make("a1", "steady"), Replica.make("a1", "moving")])
  yield* steady.arrive
  yield* moving.arrive
  const { body } = yield* steady.request("POST", "/v1/sessions", { tag: "first", metadata: "new" })
  const world: World = {
    devices: [steady, moving],
    promises: { messages: new Map(), replaced: new Map(), deleted: new Set(), cursors: 1 },
    sessionIds: [body.session.id],
    agentClient: yield* server.connect(agent("a1", body.session.id)),
    count: 0
  }
  for (let batch = 0; batch < batches; batch++) {
    // One action of each device at a time, but both devices, and the agent, at once.
    yield* Effect.forEach(world.devices, (device) => act(world, device), { concurrency: "unbounded" })
  }

  const sessions = yield* truth
  yield* checkPromises(world, sessions)
  yield* steady.settled
  assert.deepStrictEqual(plain(steady.sessions), plain(sessions), "the device that was never away")
  const cursors = steady.cursors()
  assert.deepStrictEqual(
    cursors,
    cursors.toSorted((a, b) => a - b),
    "updates come in the order of their cursors"
  )
  yield* moving.leave
  yield* moving.arrive
  assert.deepStrictEqual(plain(moving.sessions), plain(sessions), "the device that came and went")
  const late = yield* Replica.make("a1", "late")
  yield* late.arrive
  assert.deepStrictEqual(plain(late.sessions), plain(sessions), "the device that knew nothing")
})

describe("replicas of an account", () => {
  for (const seed of seeds) {
    it.scopedLive(
      `converge to what the server has (seed ${seed})`,
      () => run.pipe(Effect.withRandom(Random.make(seed)), Effect.provide(layer)),
      60_000
    )
  }
})
