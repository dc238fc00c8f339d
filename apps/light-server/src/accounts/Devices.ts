/**
 * The devices of an account: the clients that show one of its tokens. Each login makes a new token, so one lost device
 * can be revoked without the others.
 *
 * Devices are known from the tokens that a replica has seen since its start; clients reconnect within seconds. The
 * revocation of a token is stored.
 */
import { Clock, Context, Effect, Layer } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import type { WriterError } from "presence-effect/writer/WriterError"
import * as TimeForm from "../database/TimeForm.ts"
import { invalidSocketToken, NotFound } from "../Failure.ts"
import type { ConnectionScope } from "../realtime/Connection.ts"
import { Replicas } from "../replicas/ReplicaBus.ts"
import * as Room from "../realtime/sending/Room.ts"
import { SocketServer } from "../realtime/SocketServer.ts"
import type { KnownToken } from "./KnownTokens.ts"
import { Tokens } from "./Tokens.ts"

/** The scope of an open socket of a device. */
export type DeviceConnection =
  | { readonly type: "user-scoped" }
  | { readonly type: "session-scoped"; readonly sessionId: string }
  | { readonly type: "machine-scoped"; readonly machineId: string }

export interface Device extends Omit<KnownToken, "accountId"> {
  readonly connections: ReadonlyArray<DeviceConnection>
}

export class Devices extends Context.Tag("light-server/Devices")<
  Devices,
  {
    /** The devices of the account, the most recently seen first. */
    readonly list: (accountId: string) => Effect.Effect<ReadonlyArray<Device>>
    /** Ends the token of the device and its connections. */
    readonly revoke: (accountId: string, id: string) => Effect.Effect<void, NotFound | WriterError>
  }
>() {}

const insert = `INSERT INTO "PresenceTokenRevocation" ("digest", "accountId", "revokedAt")
  SELECT ?, "id", ? FROM "Account" WHERE "id" = ? ON CONFLICT DO NOTHING`

const shown = (scope: ConnectionScope): DeviceConnection => {
  switch (scope._tag) {
    case "User":
      return { type: "user-scoped" }
    case "Session":
      return { type: "session-scoped", sessionId: scope.sessionId }
    case "Machine":
      return { type: "machine-scoped", machineId: scope.machineId }
  }
}

const topic = "devices"

/** How long a replica that does not answer delays the list. */
const answerMillis = 500

/** One device may have been seen by several replicas. */
const merged = (seen: ReadonlyArray<Device>): ReadonlyArray<Device> => {
  const devices = new Map<string, Device>()
  for (const device of seen) {
    const other = devices.get(device.id)
    const [earlier, later] =
      other === undefined || device.lastSeenAt > other.lastSeenAt ? [other, device] : [device, other]
    devices.set(device.id, {
      ...later,
      client: later.client ?? earlier?.client ?? null,
      firstSeenAt: Math.min(later.firstSeenAt, earlier?.firstSeenAt ?? later.firstSeenAt),
      connections: [...later.connections, ...(earlier?.connections ?? [])]
    })
  }
  return [...devices.values()]
}

const make = Effect.gen(function* () {
  const replicas = yield* Replicas
  const clock = yield* Effect.clock
  const writer = yield* Writer
  const tokens = yield* Tokens
  const form = yield* TimeForm.TimeForm
  const { disconnects, io } = yield* SocketServer

  const connectionsOf = (id: string): ReadonlyArray<DeviceConnection> =>
    Array.from(io.of("/").adapter.rooms.get(Room.ofToken(id)) ?? []).flatMap((socketId) => {
      const verdict = io.of("/").sockets.get(socketId)?.data.verdict
      return verdict?._tag === "Accepted" ? [shown(verdict.scope)] : []
    })

  const seenHere = (accountId: string, now: number): ReadonlyArray<Device> =>
    tokens.known(accountId).map(({ client, firstSeenAt, id, lastSeenAt }) => {
      const connections = connectionsOf(id)
      // A device with an open socket counts as seen now.
      return { id, client, firstSeenAt, lastSeenAt: connections.length > 0 ? now : lastSeenAt, connections }
    })
  yield* replicas.answer(topic, (accountId) => seenHere(String(accountId), clock.unsafeCurrentTimeMillis()))
  const seenElsewhere = (accountId: string) =>
    Effect.map(replicas.ask(topic, accountId, answerMillis), (answers) =>
      answers.flatMap(({ body }) => body as ReadonlyArray<Device>)
    )
  const list = (accountId: string) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const devices = merged([...seenHere(accountId, now), ...(yield* seenElsewhere(accountId))])
      return devices.toSorted((a, b) => b.lastSeenAt - a.lastSeenAt)
    })

  return Devices.of({
    list,
    revoke: (accountId, id) =>
      Effect.gen(function* () {
        if (!(yield* list(accountId)).some((known) => known.id === id)) return yield* new NotFound({ what: "Device" })
        const now = yield* Clock.currentTimeMillis
        const write = Write.statement(insert, [id, form.encode(now), accountId]).pipe(
          Write.withLock(accountId),
          Write.withReserve
        )
        // A stored revocation takes effect even if the caller disconnects now.
        yield* Effect.uninterruptibleMask((restore) =>
          Effect.tap(restore(writer.write(Lane.control, write)), () =>
            Effect.sync(() => {
              tokens.forgetToken(id)
              disconnects.disconnectToken(accountId, id, invalidSocketToken)
            })
          )
        )
      })
  })
})

export const layer: Layer.Layer<Devices, never, Writer | Tokens | SocketServer> = Layer.scoped(Devices, make)
