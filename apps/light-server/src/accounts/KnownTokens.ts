/** Tokens that this process has seen. The devices of an account are derived from them. */
import * as LruCache from "../LruCache.ts"

export interface KnownToken {
  /** The digest of the token. */
  readonly id: string
  readonly accountId: string
  /** The `User-Agent` of the most recent client that sent it. */
  readonly client: string | null
  readonly firstSeenAt: number
  readonly lastSeenAt: number
}

export interface KnownTokens {
  /** The token was verified now. */
  readonly note: (id: string, accountId: string, client: string | undefined, nowMillis: number) => void
  /** The account of a token that was verified recently and is sent again. */
  readonly trusted: (id: string, client: string | undefined, nowMillis: number) => string | undefined
  /** The tokens of the account, the most recently seen first. */
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
 * Remembers up to `capacity` tokens; the least recently seen are forgotten first. A verified token is accepted without
 * another check for `trustedMillis`.
 */
export const make = (capacity: number, trustedMillis = 0): KnownTokens => {
  const known = LruCache.make<Entry>(capacity)
  const entriesOf = (accountId: string) => [...known.entries()].filter(([, entry]) => entry.accountId === accountId)
  const forget = (id: string) => void known.delete(id)
  return {
    note: (id, accountId, client, nowMillis) => {
      const { client: before = null, firstSeenAt = nowMillis } = known.get(id) ?? {}
      const entry = { accountId, firstSeenAt, client: before, lastSeenAt: nowMillis, verifiedAt: nowMillis }
      show(entry, client, nowMillis)
      known.set(id, entry)
    },
    trusted: (id, client, nowMillis) => {
      const entry = known.get(id)
      // If the clock steps back, an entry must not live longer than its time.
      if (entry === undefined || nowMillis < entry.verifiedAt || nowMillis >= entry.verifiedAt + trustedMillis) {
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
