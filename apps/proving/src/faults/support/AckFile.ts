/**
 * What a load generator sent and the answers, one JSON line each, in a file
 * that outlives the server.
 */
import fs from "node:fs"

/** A registration of a machine: the control plane. */
export interface Registration {
  readonly kind: "registration"
  readonly id: string
  /** When it was to be sent, epoch ms: what a stalled server delays counts too. */
  readonly due: number
  readonly millis: number
  /** 0 when no answer came. */
  readonly status: number
  readonly code: string
  readonly retryAfter: string | null
}

/** A message in a session: the data plane. */
export interface Message {
  readonly kind: "message"
  readonly sid: string
  readonly localId: string
  readonly due: number
  readonly millis: number
  readonly outcome: "stored" | "refused" | "unanswered"
  readonly seq: number
}

/** A heartbeat of a session. It has no answer. */
export interface Beat {
  readonly kind: "beat"
  readonly sid: string
  readonly at: number
}

/** A check whether the process is alive. */
export interface Probe {
  readonly kind: "probe"
  readonly due: number
  readonly millis: number
  /** How long after its due time it was sent: a delay caused by the generator itself, or by the box. */
  readonly lateMillis: number
  readonly status: number
}

export type Entry = Registration | Message | Beat | Probe

/** Lines go to the file at once, so that they are there when the writer is killed. */
export const append = (file: string): ((entry: Entry) => void) => {
  const descriptor = fs.openSync(file, "a")
  return (entry) => void fs.writeSync(descriptor, `${JSON.stringify(entry)}\n`)
}

/** Reads such a file while it grows: each call returns everything written so far, except for an incomplete line. */
export const reader = (file: string): (() => ReadonlyArray<Entry>) => {
  const entries: Array<Entry> = []
  let position = 0
  return () => {
    const descriptor = fs.openSync(file, "r")
    try {
      const size = fs.fstatSync(descriptor).size
      const fresh = Buffer.alloc(size - position)
      fs.readSync(descriptor, fresh, 0, fresh.length, position)
      const end = fresh.lastIndexOf("\n") + 1
      for (const line of fresh.toString("utf8", 0, end).split("\n")) {
        if (line !== "") entries.push(JSON.parse(line) as Entry)
      }
      position += end
      return entries.slice()
    } finally {
      fs.closeSync(descriptor)
    }
  }
}

type Kinds = { readonly [K in Entry["kind"]]: Extract<Entry, { readonly kind: K }> }

export const of = <K extends Entry["kind"]>(entries: ReadonlyArray<Entry>, kind: K): ReadonlyArray<Kinds[K]> =>
  entries.filter((entry): entry is Kinds[K] => entry.kind === kind)

/** The slowest, the middle one, and the one that 99 of 100 do not exceed. */
export const latencies = (entries: ReadonlyArray<{ readonly millis: number }>) => {
  const sorted = entries.map(({ millis }) => Math.round(millis)).toSorted((a, b) => a - b)
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0
  // Of fewer, the ninety-ninth in a hundred is the slowest, which has a limit of its own.
  const tail = sorted.length < 100 ? 95 : 99
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), tail, atTail: at(tail / 100), worst: sorted.at(-1) ?? 0 }
}

/** Those that were due in a stretch of time. */
export const between = <A extends { readonly due: number }>(entries: ReadonlyArray<A>, from: number, to = Infinity) =>
  entries.filter(({ due }) => due >= from && due < to)
