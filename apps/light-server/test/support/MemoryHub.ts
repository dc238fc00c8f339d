/** Replicas of one process, joined without Redis: each message is delivered in a turn of its own. */
import { ClusterAdapter, type ClusterMessage, type ClusterResponse } from "socket.io-adapter"
import type { ReplicaLink } from "../../src/replicas/ReplicaLink.ts"

interface Member {
  listener: (bytes: Uint8Array) => void
  readonly adapters: Set<MemoryAdapter>
  problem: string | undefined
  sentBytes: number
}

class MemoryAdapter extends ClusterAdapter {
  readonly #publish: (message: ClusterMessage) => void
  constructor(namespace: unknown, publish: (message: ClusterMessage) => void) {
    super(namespace)
    this.#publish = publish
  }
  protected override doPublish(message: ClusterMessage): Promise<string> {
    this.#publish(JSON.parse(JSON.stringify(message)) as ClusterMessage)
    return Promise.resolve("")
  }
  protected override doPublishResponse(_: string, __: ClusterResponse): Promise<void> {
    return Promise.resolve()
  }
  deliver(message: ClusterMessage) {
    this.onMessage(message)
  }
}

export interface MemoryHub {
  readonly link: (self: string) => ReplicaLink
  /** Nothing passes to or from the replica any more, or again. `says`: the link knows. */
  readonly cut: (self: string, says?: boolean) => void
  readonly mend: (self: string) => void
  /** Broadcasts to this replica are lost. */
  readonly loseBroadcasts: (self: string, isLost: boolean) => void
  /** Messages between replicas so far, without announcements. */
  readonly topics: Array<string>
}

export const make = (topicOf: (bytes: Uint8Array) => string): MemoryHub => {
  const members = new Map<string, Member>()
  const cut = new Set<string>()
  const losing = new Set<string>()
  const topics: Array<string> = []
  const reaches = (from: string, to: string) => from === to || (!cut.has(from) && !cut.has(to))
  return {
    topics,
    link: (self) => {
      const member: Member = { listener: () => {}, adapters: new Set(), problem: undefined, sentBytes: 0 }
      members.set(self, member)
      return {
        self,
        send: (bytes, to) => {
          if (member.problem !== undefined) return false
          const topic = topicOf(bytes)
          if (topic !== "here") topics.push(topic)
          for (const [name, other] of members) {
            if ((to === undefined || to === name) && reaches(self, name)) queueMicrotask(() => other.listener(bytes))
          }
          return true
        },
        receive: (listener) => {
          member.listener = listener
        },
        adapter: (namespace) => {
          const adapter = new MemoryAdapter(namespace, (message) => {
            for (const [name, other] of members) {
              if (name === self || !reaches(self, name) || losing.has(name)) continue
              queueMicrotask(() => {
                for (const each of other.adapters) each.deliver(message)
              })
            }
          })
          member.adapters.add(adapter)
          return adapter
        },
        problem: () => member.problem
      }
    },
    cut: (self, says = true) => {
      cut.add(self)
      const member = members.get(self)
      if (member !== undefined && says) member.problem = "cut"
    },
    mend: (self) => {
      cut.delete(self)
      const member = members.get(self)
      if (member !== undefined) member.problem = undefined
    },
    loseBroadcasts: (self, isLost) => void (isLost ? losing.add(self) : losing.delete(self))
  }
}
