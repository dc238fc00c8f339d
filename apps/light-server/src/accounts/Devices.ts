/**
 * The devices of an account: the clients that show one of its tokens. Each login makes a new token, so one lost device
 * can be revoked without the others.
 *
 * Devices are known from the tokens that this process has seen since its start; clients reconnect within seconds. The
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

const make = Effect.gen(function* () {
  const writer = yield* Writer
  const tokens = yield* Tokens
  const form = yield* TimeForm.TimeForm
  const { disconnects, io } = yield* SocketServer

  const connectionsOf = (id: string): ReadonlyArray<DeviceConnection> =>
    Array.from(io.of("/").adapter.rooms.get(Room.ofToken(id)) ?? []).flatMap((socketId) => {
      const verdict = io.of("/").sockets.get(socketId)?.data.verdict
      return verdict?._tag === "Accepted" ? [shown(verdict.scope)] : []
    })

  return Devices.of({
    list: (accountId) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const devices = tokens.known(accountId).map(({ client, firstSeenAt, id, lastSeenAt }) => {
          const connections = connectionsOf(id)
          // A device with an open socket counts as seen now.
          return { id, client, firstSeenAt, lastSeenAt: connections.length > 0 ? now : lastSeenAt, connections }
        })
        return devices.toSorted((a, b) => b.lastSeenAt - a.lastSeenAt)
      }),
    revoke: (accountId, id) =>
      Effect.gen(function* () {
        if (!tokens.known(accountId).some((known) => known.id === id)) return yield* new NotFound({ what: "Device" })
        const now = yield* Clock.currentTimeMillis
        const write = Write.withReserve(Write.statement(insert, [id, form.encode(now), accountId]))
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

export const layer: Layer.Layer<Devices, never, Writer | Tokens | SocketServer> = Layer.effect(Devices, make)
