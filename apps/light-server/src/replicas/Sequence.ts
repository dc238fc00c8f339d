/** Numbers the broadcasts of this replica, and finds those of others that are missing. */
import * as LruCache from "../LruCache.ts"

export interface Sequence {
  /** The number of the next broadcast. */
  readonly next: () => number
  /** The number of the last broadcast, zero before the first. */
  readonly last: () => number
  /** A broadcast of another replica has arrived. `known`: it arrived before. `gap`: one before it did not. */
  readonly receive: (from: string, number: number) => "next" | "known" | "gap"
  /**
   * Another replica announces the number of its last broadcast. `true`: one that it announced `patienceMillis` ago has
   * still not arrived.
   */
  readonly announced: (from: string, last: number, nowMillis: number) => boolean
}

interface Sender {
  /** `undefined`: none has arrived, and those before the first are not expected. */
  received: number | undefined
  /** What the oldest announcement that is not fulfilled yet has promised. */
  promised: number | undefined
  /** When that one came. */
  since: number
}

/** Announcements overtake broadcasts, which take another way. */
export const patienceMillis = 2000

/** Many times the replicas that there are at once. Each start of a replica is another sender. */
const sendersMax = 1000

const announcedOf = (sender: Sender, last: number, nowMillis: number): boolean => {
  if (sender.received !== undefined && last <= sender.received) return false
  if (sender.promised === undefined) {
    sender.promised = last
    sender.since = nowMillis
    return false
  }
  if (nowMillis - sender.since < patienceMillis) return false
  // From a sender of which nothing has arrived: what it sent before this replica listened.
  const isLost = sender.received !== undefined
  sender.received = sender.promised
  sender.promised = undefined
  return isLost
}

export const make = (): Sequence => {
  const senders = LruCache.make<Sender>(sendersMax)
  let last = 0
  const senderOf = (from: string): Sender => {
    const known = senders.get(from)
    if (known !== undefined) return known
    const sender: Sender = { received: undefined, promised: undefined, since: 0 }
    senders.set(from, sender)
    return sender
  }
  return {
    next: () => (last += 1),
    last: () => last,
    receive: (from, number) => {
      const sender = senderOf(from)
      const before = sender.received
      if (before !== undefined && number <= before) return "known"
      sender.received = number
      if (sender.promised !== undefined && sender.promised <= number) sender.promised = undefined
      return before === undefined || number === before + 1 ? "next" : "gap"
    },
    announced: (from, announcedLast, nowMillis) => announcedOf(senderOf(from), announcedLast, nowMillis)
  }
}
