/**
 * Broadcasts on their way into the stream of Redis. They are sent in order, and again after a connection was lost;
 * receivers know those that arrived twice by their number.
 */
import { countMessage } from "./ReplicaMetrics.ts"

export interface Entry {
  readonly fields: { readonly [field: string]: string }
  readonly bytes: number
}

/** Adds an entry to the stream. Rejects when the connection is lost. */
export type Append = (fields: Entry["fields"]) => Promise<unknown>

export interface RedisOutbox {
  /** Never waits. What is beyond the limit is dropped. */
  readonly add: (fields: Entry["fields"]) => void
  /** A connection is open: everything that waits is sent. */
  readonly open: (append: Append) => void
  readonly close: () => void
  readonly waitingBytes: () => number
}

/** What may wait: a few seconds of a busy server. */
export const limits = { entries: 10_000, bytes: 16 * 1024 * 1024 }

const bytesOf = (fields: Entry["fields"]) =>
  Object.entries(fields).reduce((sum, [name, value]) => sum + name.length + value.length, 0)

export const make = (isLost: (cause: unknown) => boolean, terms = limits): RedisOutbox => {
  /** In the order in which they were added. */
  const entries = new Set<Entry>()
  let waitingBytes = 0
  let current: Append | undefined

  const remove = (entry: Entry) => {
    if (entries.delete(entry)) waitingBytes -= entry.bytes
  }
  const write = (append: Append, entry: Entry) =>
    void append(entry.fields).then(
      () => {
        countMessage("sent")
        remove(entry)
      },
      (cause: unknown) => {
        // It stays for the next connection, unless Redis has refused it.
        if (isLost(cause)) return
        countMessage("dropped")
        remove(entry)
      }
    )

  return {
    add: (fields) => {
      const entry = { fields, bytes: bytesOf(fields) }
      if (entries.size >= terms.entries || waitingBytes + entry.bytes > terms.bytes) return countMessage("dropped")
      entries.add(entry)
      waitingBytes += entry.bytes
      if (current !== undefined) write(current, entry)
    },
    open: (append) => {
      current = append
      for (const entry of entries) write(append, entry)
    },
    close: () => {
      current = undefined
    },
    waitingBytes: () => waitingBytes
  }
}
