/**
 * Makes an adapter of several replicas serve its own sockets first.
 *
 * The adapters of socket.io wait until a broadcast is stored before their own sockets receive it, so a service that
 * does not answer would keep updates from clients of this process. Here they are sent at once, in the turn of the
 * caller, and each broadcast carries a number, by which other replicas notice that one is missing.
 */
import {
  Adapter,
  type BroadcastOptions,
  type ClusterAdapter,
  type ClusterMessage,
  MessageType
} from "socket.io-adapter"
import type { AdapterFactory } from "./ReplicaBus.ts"
import type * as Sequence from "./Sequence.ts"

/** The members of an adapter that are not public. */
interface Inside {
  uid: string
  doPublish: (message: object) => Promise<string>
  onMessage: (message: ClusterMessage, offset?: string) => void
  broadcast: (packet: object, options: BroadcastOptions) => Promise<void>
}

interface NumberedFlags {
  readonly number?: unknown
}

const numberOf = (message: ClusterMessage): number | undefined => {
  if (message.type !== MessageType.BROADCAST) return undefined
  const { number } = (message.data.opts.flags ?? {}) as NumberedFlags
  return typeof number === "number" ? number : undefined
}

interface Terms {
  readonly self: string
  readonly sequence: Sequence.Sequence
  readonly onGap: () => void
}

const localFirst = (adapter: ClusterAdapter, name: string, { onGap, self, sequence }: Terms) => {
  const inside = adapter as unknown as Inside
  const receive = inside.onMessage.bind(adapter)
  inside.uid = self
  inside.broadcast = (packet, options) => {
    Adapter.prototype.broadcast.call(adapter, packet, options)
    if (options.flags?.local === true) return Promise.resolve()
    const flags = { ...options.flags, number: sequence.next() }
    const opts = { rooms: [...options.rooms], except: [...(options.except ?? [])], flags }
    const message = { uid: self, nsp: name, type: MessageType.BROADCAST, data: { packet, opts } }
    return inside.doPublish(message).then(
      () => {},
      // What cannot be sent is missed by the others, who notice the missing number.
      () => {}
    )
  }
  inside.onMessage = (message, offset) => {
    if (message.uid === self) return
    const number = numberOf(message)
    if (number !== undefined) {
      const received = sequence.receive(String(message.uid), number)
      if (received === "known") return
      if (received === "gap") onGap()
    }
    receive(message, offset)
  }
  return adapter
}

/**
 * The server of socket.io calls it with `new`. An arrow function cannot be, and the bundler makes one of each function
 * that names neither `this` nor `new.target`.
 */
export const make = (factory: AdapterFactory, terms: Terms): AdapterFactory =>
  function make(namespace) {
    if (new.target === undefined) throw new TypeError("the adapter is made with new")
    return localFirst(factory(namespace) as ClusterAdapter, namespace.name, terms)
  }
