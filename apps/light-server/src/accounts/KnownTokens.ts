/** Tokens that were shown to this process: by them the devices of an account are known. */
import { LRUCache } from "lru-cache"

export interface KnownToken {
  /** The digest of the token. */
  readonly id: string
  readonly accountId: string
  /** The `User-Agent` of the client that showed it last. */
  readonly client: string | null
  readonly firstSeenAt: number
  readonly lastSeenAt: number
}

export interface KnownTokens {
  /** The token was verified now. */
  readonly note: (id: string, accountId: string, client: string | undefined, nowMillis: number) => void
  /** The account of a token that was verified a moment ago, and is shown again. */
  readonly believe: (id: string, client: string | undefined, nowMillis: number) => string | undefined
  /** Of the account, those first that were shown last. */
  readonly ofAccount: (accountId: string) => ReadonlyArray<KnownToken>
  readonly forget: (id: string) => void
  readonly forgetAccount: (accountId: string) => void
}

interface Entry {
  readonly accountId: string
  readonly firstSeenAt: number
  client: string | null
  lastSeenAt: number
  verifiedAt: number
}

const clientLengthMax = 200

const show = (entry: Entry, client: string | undefined, nowMillis: number): void => {
  entry.lastSeenAt = nowMillis
  if (client !== undefined) entry.client = client.slice(0, clientLengthMax)
}

/**
 * Remembers so many tokens; those are forgotten first that were not shown for longest. A token that was verified is
 * believed for `believedMillis`.
 */
export const make = (capacity: number, believedMillis = 0): KnownTokens => {
  const known = new LRUCache<string, Entry>({ max: capacity })
  const entriesOf = (accountId: string) => [...known.entries()].filter(([, entry]) => entry.accountId === accountId)
  const forget = (id: string) => void known.delete(id)
  return {
    note: (id, accountId, client, nowMillis) => {
      const { client: before = null, firstSeenAt = nowMillis } = known.get(id) ?? {}
      const entry = { accountId, firstSeenAt, client: before, lastSeenAt: nowMillis, verifiedAt: nowMillis }
      show(entry, client, nowMillis)
      known.set(id, entry)
    },
    believe: (id, client, nowMillis) => {
      const entry = known.get(id)
      // A clock that stepped back must not keep an entry alive for longer than its time.
      if (entry === undefined || nowMillis < entry.verifiedAt || nowMillis >= entry.verifiedAt + believedMillis) {
        return undefined
      }
      show(entry, client, nowMillis)
      return entry.accountId
    },
    ofAccount: (accountId) =>
      entriesOf(accountId).map(([id, { client, firstSeenAt, lastSeenAt }]) => ({
        id,
        accountId,
        client,
        firstSeenAt,
        lastSeenAt
      })),
    forget,
    forgetAccount: (accountId) => {
      for (const [id] of entriesOf(accountId)) forget(id)
    }
  }
}
