/** Tokens that were shown to this process: by them the devices of an account are known. */
import { LRUCache } from "lru-cache"

export interface KnownToken {
  /** The digest of the token. */
  readonly id: string
  readonly accountId: string
  /** How whoever showed it last calls itself: its `User-Agent`. */
  readonly client: string | null
  readonly firstSeenAt: number
  readonly lastSeenAt: number
}

export interface KnownTokens {
  readonly note: (id: string, accountId: string, client: string | undefined, nowMillis: number) => void
  /** Of the account, those first that were shown last. */
  readonly ofAccount: (accountId: string) => ReadonlyArray<KnownToken>
  readonly forget: (id: string) => void
  readonly forgetAccount: (accountId: string) => void
}

const clientLengthMax = 200

/** Remembers so many tokens; those are forgotten first that were not shown for longest. */
export const make = (capacity: number): KnownTokens => {
  const known = new LRUCache<string, KnownToken>({ max: capacity })
  const ofAccount = (accountId: string) => [...known.values()].filter((token) => token.accountId === accountId)
  const forget = (id: string) => void known.delete(id)
  return {
    note: (id, accountId, client, nowMillis) => {
      const before = known.get(id)
      const name = client?.slice(0, clientLengthMax) ?? before?.client ?? null
      const firstSeenAt = before?.firstSeenAt ?? nowMillis
      known.set(id, { id, accountId, client: name, firstSeenAt, lastSeenAt: nowMillis })
    },
    ofAccount,
    forget,
    forgetAccount: (accountId) => {
      for (const { id } of ofAccount(accountId)) forget(id)
    }
  }
}
