/**
 * What the server sends: updates, which every recipient must get, and
 * ephemerals, of which the next one makes up for a lost one.
 */
import { Context, Effect, Layer } from "effect"
import { updateId } from "../../database/Ids.ts"
import * as Room from "./Room.ts"
import { SocketServer } from "../SocketServer.ts"

/** A change of the account, numbered by its cursor. `t` says what changed. */
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

/** Plain functions: sending is putting bytes into buffers. */
export class Emitter extends Context.Tag("light-server/Emitter")<
  Emitter,
  {
    /** Sends an update, after its commit. `exceptSocket`: the sender, when it has its answer already. */
    readonly update: (recipients: Room.Recipients, update: Update, options?: { readonly exceptSocket?: string }) => void
    /** Sends a change of presence, or a report. */
    readonly ephemeral: (recipients: Room.Recipients, ephemeral: Ephemeral) => void
    /** Repeats what recipients know. Sockets that read too slowly miss it. */
    readonly repeated: (recipients: Room.Recipients, ephemeral: Ephemeral) => void
  }
>() {}

export const make: Effect.Effect<Emitter["Type"], never, SocketServer> = Effect.map(SocketServer, ({ io }) => {
  const { rooms } = io.of("/").adapter
  // A packet is encoded before anybody looks whether there is a recipient, and while no app is open there is none.
  const isHeard = (recipients: Room.Recipients): boolean => recipients.some((room) => rooms.has(room))
  return Emitter.of({
    update: (recipients, { seq, body }, options) => {
      const target = io.to([...recipients])
      const update = { id: updateId(), seq, body, createdAt: Date.now() }
      if (options?.exceptSocket === undefined) target.emit("update", update)
      else target.except(options.exceptSocket).emit("update", update)
    },
    ephemeral: (recipients, ephemeral) => {
      io.to([...recipients]).emit("ephemeral", ephemeral)
    },
    // `volatile` of socket.io also loses what follows another packet within the same turn, which a tick
    // with two heartbeats does; lagging sockets are a room instead.
    repeated: (recipients, ephemeral) => {
      if (!isHeard(recipients)) return
      io.to([...recipients])
        .except(Room.lagging)
        .emit("ephemeral", ephemeral)
    }
  })
})

export const layer: Layer.Layer<Emitter, never, SocketServer> = Layer.effect(Emitter, make)
