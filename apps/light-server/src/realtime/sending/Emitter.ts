/**
 * What the server sends: updates, which every recipient must get, and
 * ephemerals, where the next one replaces a lost one.
 */
import { Context, Effect, Layer, type Scope } from "effect"
import { updateId } from "../../database/Ids.ts"
import { Replicas } from "../../replicas/ReplicaBus.ts"
import { defaults, type RealtimeOptions } from "../RealtimeOptions.ts"
import * as Digests from "./Digests.ts"
import * as Room from "./Room.ts"
import * as SignsOfLife from "./SignsOfLife.ts"
import * as WatchedRooms from "./WatchedRooms.ts"
import { SocketServer } from "../SocketServer.ts"

/** A change of the account, numbered by its cursor. `t` is the kind of the change. */
export interface Update {
  readonly seq: number
  readonly body: { readonly t: string; readonly [field: string]: unknown }
}

export type Ephemeral =
  | {
      readonly type: "activity"
      readonly id: string
      readonly active: boolean
      readonly activeAt: number
      readonly thinking: boolean
    }
  | { readonly type: "machine-activity"; readonly id: string; readonly active: boolean; readonly activeAt: number }
  | {
      readonly type: "usage"
      readonly id: string
      readonly key: string
      readonly tokens: { readonly [name: string]: number }
      readonly cost: { readonly [name: string]: number }
      readonly timestamp: number
    }

/** Plain functions: sending only fills buffers. */
export class Emitter extends Context.Tag("light-server/Emitter")<
  Emitter,
  {
    /** Sends an update, after its commit. `exceptSocket`: the sender, when it has its answer already. */
    readonly update: (recipients: Room.Recipients, update: Update, options?: { readonly exceptSocket?: string }) => void
    /** Sends a change of presence, or a report. */
    readonly ephemeral: (recipients: Room.Recipients, ephemeral: Ephemeral) => void
    /**
     * Repeats a known state, at most once a second for each row, and a new state at once. Sockets that read too slowly
     * miss it. Apps on other replicas receive a known state every few seconds.
     */
    readonly repeated: (recipients: Room.Recipients, ephemeral: Ephemeral) => void
  }
>() {}

/** The account and the row that an ephemeral is about. */
const nameOf = (recipients: Room.Recipients, { id, type }: Ephemeral) => `${type} ${recipients[0] ?? ""} ${id}`

const isThinking = (ephemeral: Ephemeral) => ephemeral.type === "activity" && ephemeral.thinking

export const make = (
  options: Pick<RealtimeOptions, "repeatedPacketsPerSecond"> = defaults
): Effect.Effect<Emitter["Type"], never, SocketServer | Scope.Scope> =>
  Effect.gen(function* () {
    const { io } = yield* SocketServer
    const clock = yield* Effect.clock
    const signs = SignsOfLife.make(options)
    const replicas = yield* Replicas
    const { rooms } = io.of("/").adapter
    const recipientCount = (recipients: Room.Recipients): number =>
      recipients.reduce((sum, room) => sum + (rooms.get(room)?.size ?? 0), 0)
    // `volatile` of socket.io also loses what follows another packet within the same turn, which a tick
    // with two heartbeats does; lagging sockets are a room instead.
    const repeatHere = (recipients: Room.Recipients, ephemeral: Ephemeral) => {
      // A packet is encoded before its recipients are looked up, so nothing is sent while no app is connected.
      const count = recipientCount(recipients)
      if (count === 0) return
      const sign = { name: nameOf(recipients, ephemeral), thinking: isThinking(ephemeral) }
      if (!signs.take(recipients[0] ?? "", sign, count, clock.unsafeCurrentTimeMillis())) return
      const here = replicas.isAlone ? io : io.local
      here
        .to([...recipients])
        .except(Room.lagging)
        .emit("ephemeral", ephemeral)
    }
    const watched = yield* WatchedRooms.make(io, replicas)
    const digests = yield* Digests.make<Ephemeral>(replicas, watched, (room, ephemeral) =>
      repeatHere([room], ephemeral)
    )
    return Emitter.of({
      update: (recipients, { seq, body }, options) => {
        const target = io.to([...recipients])
        const update = { id: updateId(), seq, body, createdAt: Date.now() }
        if (options?.exceptSocket === undefined) target.emit("update", update)
        else target.except(options.exceptSocket).emit("update", update)
      },
      ephemeral: (recipients, ephemeral) => {
        if (ephemeral.type !== "usage") {
          const sign = { name: nameOf(recipients, ephemeral), thinking: isThinking(ephemeral) }
          if (ephemeral.active) signs.online(sign, clock.unsafeCurrentTimeMillis())
          else signs.offline(sign.name)
          digests.announced(recipients[0] ?? "", sign)
        }
        io.to([...recipients]).emit("ephemeral", ephemeral)
      },
      repeated: (recipients, ephemeral) => {
        const room = recipients[0] ?? ""
        if (watched.replicasOf(room).size > 0) {
          digests.add(room, { name: nameOf(recipients, ephemeral), thinking: isThinking(ephemeral), ephemeral })
        }
        repeatHere(recipients, ephemeral)
      }
    })
  })

export const layer = (
  options?: Pick<RealtimeOptions, "repeatedPacketsPerSecond">
): Layer.Layer<Emitter, never, SocketServer> => Layer.scoped(Emitter, make(options))
