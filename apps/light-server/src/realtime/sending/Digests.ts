/**
 * Signs of life for apps on other replicas: the newest of each row, together, every five seconds. Nothing is kept for
 * an account that nobody watches there.
 */
import { Effect, type Scope } from "effect"
import * as LruCache from "../../LruCache.ts"
import type { ReplicaBus } from "../../replicas/ReplicaBus.ts"
import { countDigest } from "../../replicas/ReplicaMetrics.ts"
import type { WatchedRooms } from "./WatchedRooms.ts"

export interface Sign<E> {
  /** The account and the row. */
  readonly name: string
  readonly thinking: boolean
  readonly ephemeral: E
}

export interface Digests<E> {
  /** The row of the room is still alive. */
  readonly add: (room: string, sign: Sign<E>) => void
  /** The row was announced in another way: an older sign of life must not follow. */
  readonly announced: (room: string, sign: Pick<Sign<E>, "name" | "thinking">) => void
}

interface Digest<E> {
  readonly room: string
  readonly ephemerals: ReadonlyArray<E>
}

const topic = "alive"

export const interval = "5 seconds"

/** Rows that wait for a digest, of all accounts. More are left out of this one. */
const rowsMax = 20_000

/** Sends digests until the scope closes. `receive` gets the signs of life from other replicas. */
export const make = <E>(
  replicas: ReplicaBus,
  watched: WatchedRooms,
  receive: (room: string, ephemeral: E) => void
): Effect.Effect<Digests<E>, never, Scope.Scope> =>
  Effect.gen(function* () {
    if (replicas.isAlone) return { add: () => {}, announced: () => {} }
    const rooms = new Map<string, Map<string, E>>()
    /** Whether the row was shown as thinking. */
    const shown = LruCache.make<boolean>(rowsMax)
    const isNeeded = Effect.unsafeMakeLatch(false)
    let rowCount = 0

    const send = (digest: Digest<E>) => {
      for (const name of watched.replicasOf(digest.room)) {
        countDigest()
        replicas.send(topic, digest, name)
      }
    }
    const drop = (room: string, name: string) => {
      if (rooms.get(room)?.delete(name) === true) rowCount -= 1
    }
    const flush = Effect.sync(() => {
      for (const [room, rows] of rooms) if (rows.size > 0) send({ room, ephemerals: [...rows.values()] })
      rooms.clear()
      rowCount = 0
      isNeeded.unsafeClose()
    })
    // No timer runs while no account is watched elsewhere.
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(isNeeded.await, Effect.delay(flush, interval))))
    yield* replicas.listen(topic, (body) => {
      const { ephemerals, room } = body as Digest<E>
      for (const ephemeral of ephemerals) receive(room, ephemeral)
    })

    return {
      add: (room, { ephemeral, name, thinking }) => {
        if (watched.replicasOf(room).size === 0) return
        // A new state is shown at once.
        if (thinking !== (shown.get(name) ?? false)) {
          shown.set(name, thinking)
          drop(room, name)
          return send({ room, ephemerals: [ephemeral] })
        }
        const rows = rooms.get(room) ?? new Map<string, E>()
        if (!rows.has(name)) {
          if (rowCount >= rowsMax) return
          rowCount += 1
        }
        rows.set(name, ephemeral)
        rooms.set(room, rows)
        isNeeded.unsafeOpen()
      },
      announced: (room, { name, thinking }) => {
        drop(room, name)
        if (thinking) shown.set(name, true)
        else shown.delete(name)
      }
    }
  })
