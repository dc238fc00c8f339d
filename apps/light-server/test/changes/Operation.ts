/**
 * What a device or an agent may do: a value that fast-check creates and
 * shrinks, and its execution.
 */
import { assert } from "@effect/vitest"
import { Effect, FastCheck as fc } from "effect"
import type { Replica } from "../support/Replica.ts"
import type { Client } from "../support/TestServer.ts"
import type { AccountDevices, Promises } from "./AccountDevices.ts"

export type Operation =
  | { readonly does: "open" | "post" | "remove"; readonly tag: string }
  | { readonly does: "say"; readonly tag: string; readonly twice: boolean }
  | { readonly does: "replace"; readonly tag: string; readonly text: "metadata" | "agentState" }
  | { readonly does: "arrive" | "leave" }

const does = <const D extends string>(name: D) => fc.constant(name)

/** Few tags, so that all use the same sessions. */
const tag = fc.constantFrom("A", "B", "C")

const open = fc.record({ does: does("open"), tag })
const remove = fc.record({ does: does("remove"), tag })
const post = fc.record({ does: does("post"), tag })
const say = fc.record({ does: does("say"), tag, twice: fc.boolean() })
const replaceState = fc.record({ does: does("replace"), tag, text: fc.constant("agentState" as const) })
const replaceMetadata = fc.record({ does: does("replace"), tag, text: fc.constant("metadata" as const) })
const arrive = fc.record({ does: does("arrive") })
const leave = fc.record({ does: does("leave") })

const ofDevice = [
  { weight: 4, arbitrary: say },
  { weight: 3, arbitrary: replaceState },
  { weight: 3, arbitrary: replaceMetadata },
  { weight: 2, arbitrary: post },
  { weight: 2, arbitrary: open },
  { weight: 1, arbitrary: remove }
] as const

/** For a device that is always connected. */
export const steadily: fc.Arbitrary<Operation> = fc.oneof(...ofDevice)

/** For a device that connects and disconnects. */
export const moving: fc.Arbitrary<Operation> = fc.oneof(
  ...ofDevice,
  { weight: 3, arbitrary: arrive },
  { weight: 2, arbitrary: leave }
)

export const agents: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 2, arbitrary: say },
  { weight: 1, arbitrary: replaceState }
)

export const describe = (operation: Operation): string => {
  switch (operation.does) {
    case "say":
      return `says in ${operation.tag}${operation.twice ? ", twice" : ""}`
    case "replace":
      return `replaces the ${operation.text} of ${operation.tag}`
    case "open":
      return `opens ${operation.tag}`
    case "post":
      return `posts in ${operation.tag}`
    case "remove":
      return `removes ${operation.tag}`
    case "arrive":
    case "leave":
      return `${operation.does}s`
  }
}

/** Only opened sessions can be used, and only a connected device uses a socket. */
export const isPossible = (operation: Operation, who: "steady" | "moving" | "agent", promises: Promises): boolean => {
  const isHere = who !== "moving" || promises.isMovingHere
  switch (operation.does) {
    case "arrive":
      return !isHere
    case "leave":
      return isHere
    case "open":
      return true
    case "say":
      return isHere && promises.sessions.has(operation.tag)
    default:
      return promises.sessions.has(operation.tag)
  }
}

const stored = (promises: Promises, sid: string, seq: number, ciphertext: string) => {
  const key = `${sid} ${seq}`
  const before = promises.messages.get(key)
  assert.include([undefined, ciphertext], before, `one number for two messages: ${key}`)
  if (before === undefined) promises.cursors += 1
  promises.messages.set(key, ciphertext)
}

const replaced = (promises: Promises, sid: string, text: string) => {
  const key = `${sid} ${text}`
  promises.replaced.set(key, (promises.replaced.get(key) ?? 0) + 1)
  promises.cursors += 1
}

/** What every operation needs. */
interface Scene {
  readonly accountDevices: AccountDevices
  readonly promises: Promises
}

const next = ({ accountDevices }: Scene) => (accountDevices.count += 1)

const idOf = ({ promises }: Scene, tag: string) => promises.sessions.get(tag) ?? "none"

const opens = ({ promises }: Scene, tag: string, device: Replica) =>
  Effect.gen(function* () {
    const { status, body } = yield* device.request("POST", "/v1/sessions", { tag, metadata: "new" })
    assert.strictEqual(status, 200)
    if ([...promises.sessions.values(), ...promises.deleted].includes(body.session.id)) return
    promises.sessions.set(tag, body.session.id)
    promises.cursors += 1
  })

/** Sends a message, and sometimes the same one again at once. */
const says = (scene: Scene, tag: string, twice: boolean, client: Client, device?: Replica) =>
  Effect.gen(function* () {
    const sid = idOf(scene, tag)
    const localId = `local ${next(scene)}`
    const message = `text of ${localId}`
    const send = client.ask("message", { sid, message, localId })
    const acks = yield* Effect.all(twice ? [send, send] : [send], { concurrency: "unbounded" })
    for (const ack of acks) {
      const { ok, seq, error } = ack as { readonly ok: boolean; readonly seq: number; readonly error: string }
      if (!ok) {
        assert.strictEqual(error, "session-not-found")
        continue
      }
      stored(scene.promises, sid, seq, message)
      device?.applyMessage(sid, seq, message)
    }
  })

const posts = (scene: Scene, tag: string, device: Replica) =>
  Effect.gen(function* () {
    const sid = idOf(scene, tag)
    const localId = `local ${next(scene)}`
    const ciphertext = `text of ${localId}`
    const { status, body } = yield* device.request("POST", `/v2/sessions/${sid}/messages`, { ciphertext, localId })
    assert.include([200, 404], status)
    if (status === 200) stored(scene.promises, sid, body.message.seq, ciphertext)
  })

/** Over a socket: at the known version; the answer contains the current one. */
const replacesState = (
  scene: Scene,
  tag: string,
  client: Client,
  expectedVersion: (sid: string) => number,
  learn: (sid: string, current: { readonly value: string | null; readonly version: number }) => void
) =>
  Effect.gen(function* () {
    const sid = idOf(scene, tag)
    const value = `value ${next(scene)}`
    const payload = { sid, agentState: value, expectedVersion: expectedVersion(sid) }
    const ack = yield* client.ask("update-state", payload)
    const { result, version, agentState } = ack as { result: string; version: number; agentState: string | null }
    if (result === "forbidden") return
    assert.include(["success", "version-mismatch"], result)
    learn(sid, { value: agentState, version })
    if (result === "success") replaced(scene.promises, sid, "agentState")
  })

/** The same over HTTP. */
const patches = (scene: Scene, tag: string, text: "metadata" | "agentState", device: Replica) =>
  Effect.gen(function* () {
    const id = idOf(scene, tag)
    const version = device.sessions.get(id)?.[text].version ?? 0
    if (version < 0) return
    const value = `value ${next(scene)}`
    const patch = { [text]: { ciphertext: value, expectedVersion: version } }
    const { status, body } = yield* device.request("PATCH", `/v2/sessions/${id}`, patch)
    if (status === 404) return
    assert.strictEqual(status, 200)
    device.applyText(id, text, { value, ...body[text] })
    if (body.success) replaced(scene.promises, id, text)
  })

const removes = (scene: Scene, tag: string, device: Replica) =>
  Effect.gen(function* () {
    const id = idOf(scene, tag)
    const { status } = yield* device.request("DELETE", `/v1/sessions/${id}`)
    assert.include([200, 404], status)
    if (status === 404) return
    assert.isFalse(scene.promises.deleted.has(id), "deleted twice")
    scene.promises.deleted.add(id)
    scene.promises.cursors += 1
  })

/** Runs an operation of a device. */
export const byDevice = (scene: Scene, operation: Operation, device: Replica) => {
  switch (operation.does) {
    case "open":
      return opens(scene, operation.tag, device)
    case "post":
      return posts(scene, operation.tag, device)
    case "remove":
      return removes(scene, operation.tag, device)
    case "say": {
      const client = device.client()
      return client === undefined ? Effect.void : says(scene, operation.tag, operation.twice, client, device)
    }
    case "replace": {
      const client = device.client()
      if (client === undefined || operation.text === "metadata")
        return patches(scene, operation.tag, operation.text, device)
      const version = (sid: string) => Math.max(0, device.sessions.get(sid)?.agentState.version ?? 0)
      return replacesState(scene, operation.tag, client, version, (sid, current) =>
        device.applyText(sid, "agentState", current)
      )
    }
    case "arrive":
      scene.promises.isMovingHere = true
      return device.arrive
    case "leave":
      scene.promises.isMovingHere = false
      return device.leave
  }
}

/** Runs an operation of the agent: it sends a message, or replaces a state. */
export const byAgent = (scene: Scene, operation: Operation) => {
  const { agent, versions } = scene.accountDevices
  if (operation.does === "say") return says(scene, operation.tag, operation.twice, agent)
  if (operation.does !== "replace") return Effect.dieMessage("not an operation of an agent")
  return replacesState(
    scene,
    operation.tag,
    agent,
    (sid) => versions.get(sid) ?? 0,
    (sid, { version }) => versions.set(sid, version)
  )
}
