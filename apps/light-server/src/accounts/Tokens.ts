/** Tokens: signed statements about an account, issued by this server or by the server whose file it adopted. */
import { Clock, Context, Duration, Effect, Layer, Option, Redacted, Schema } from "effect"
import { jwtVerify, SignJWT } from "jose"
import { createPublicKey, hkdfSync, randomUUID } from "node:crypto"
import { DataDirectory } from "../opening/DataDirectory.ts"
import { Replicas } from "../replicas/ReplicaBus.ts"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import { Authenticator } from "../door/Authenticator.ts"
import { AccountDisabled, invalidToken } from "../Failure.ts"
import * as EarlierTokens from "./EarlierTokens.ts"
import * as Ed25519 from "./Ed25519.ts"
import * as KnownTokens from "./KnownTokens.ts"
import { digestOf } from "../door/TokenDigest.ts"

export class Tokens extends Context.Tag("light-server/Tokens")<
  Tokens,
  {
    /**
     * A token that speaks for the account until its tokens are revoked. It does not expire. `epoch` is that of the
     * proof it is issued for, if there is one: a revocation after the proof then ends the token too.
     */
    readonly issue: (accountId: string, epoch?: number) => Effect.Effect<string, ReadFailed>
    /** The tokens of the account were revoked: what is remembered of them is looked up again. */
    readonly forget: (accountId: string) => void
    /** The same for one token, by its digest. */
    readonly forgetToken: (id: string) => void
    /** Whether the operator has disabled the account. */
    readonly isDisabled: (accountId: string) => Effect.Effect<boolean, ReadFailed>
    /** The tokens of the account that were shown since the start. */
    readonly known: (accountId: string) => ReadonlyArray<KnownTokens.KnownToken>
  }
>() {}

export interface Options {
  /** Verified tokens remembered; the least used are forgotten first. */
  readonly cacheCapacity?: number
  /** How long a verified token, and the existence of its account, is remembered without a new check. */
  readonly cacheTime?: Duration.DurationInput
  /** How far the clock may have stepped back since a token was made. */
  readonly clockTolerance?: Duration.DurationInput
}

const algorithm = "EdDSA"
const issuer = "happier-light"
const audience = "happier-client"

/** Changing it invalidates every token that was issued. */
const purpose = "light-server token signing key v1"

const keysOf = (masterSecret: Redacted.Redacted) => {
  const seed = hkdfSync("sha256", Redacted.value(masterSecret), "", purpose, 32)
  const privateKey = Ed25519.privateKeyOf(new Uint8Array(seed))
  return { privateKey, publicKey: createPublicKey(privateKey) }
}

/** Tokens from before there were epochs carry none, and an account that never revoked its tokens has none. */
const firstEpoch = 0

const Account = Schema.Struct({
  id: Schema.String,
  epoch: Schema.NullOr(Schema.Int),
  isRevoked: Schema.Int,
  isDisabled: Schema.Int
})

const selectAccount = `SELECT "Account"."id", "TokenRevocation"."epoch",
  EXISTS (SELECT 1 FROM "PresenceTokenRevocation" WHERE "digest" = ?) AS "isRevoked",
  EXISTS (SELECT 1 FROM "PresenceAccountDisablement" WHERE "accountId" = "Account"."id") AS "isDisabled" FROM "Account"
  LEFT JOIN "TokenRevocation" ON "TokenRevocation"."accountId" = "Account"."id" WHERE "Account"."id" = ?`

/** What other replicas must read from the database again. */
interface Forgotten {
  readonly accountId?: string
  readonly tokenId?: string
}

const topic = "tokens"

const make = (options: Options) =>
  Effect.gen(function* () {
    const replicas = yield* Replicas
    const { masterSecret } = yield* DataDirectory
    const reader = yield* DatabaseReader
    const { privateKey, publicKey } = keysOf(masterSecret)
    const cacheMillis = Duration.toMillis(options.cacheTime ?? "30 seconds")
    const clockTolerance = Duration.toSeconds(options.clockTolerance ?? "1 day")
    const earlier = yield* EarlierTokens.make(masterSecret, clockTolerance)
    const known = KnownTokens.make(options.cacheCapacity ?? 10_000, cacheMillis)

    // Counts removals, so that the result of an earlier read is not remembered after one.
    let forgetCount = 0
    const forgetHere = ({ accountId, tokenId }: Forgotten) => {
      forgetCount += 1
      if (accountId !== undefined) known.forgetAccount(accountId)
      if (tokenId !== undefined) known.forget(tokenId)
    }
    const forgetEverywhere = (forgotten: Forgotten) => {
      replicas.send(topic, forgotten)
      forgetHere(forgotten)
    }
    yield* replicas.listen(topic, (forgotten) => forgetHere(forgotten as Forgotten))
    const forget = (accountId: string) => forgetEverywhere({ accountId })
    const forgetToken = (tokenId: string) => forgetEverywhere({ tokenId })

    const find = (accountId: string, tokenId = "") => reader.first(Account, selectAccount, [tokenId, accountId])
    const epochOf = Option.match({
      onNone: () => firstEpoch,
      onSome: ({ epoch }: typeof Account.Type) => epoch ?? firstEpoch
    })

    const isDisabled = (accountId: string) =>
      Effect.map(
        find(accountId),
        Option.exists(({ isDisabled }) => isDisabled === 1)
      )

    const issue = (accountId: string, proven?: number) =>
      Effect.gen(function* () {
        const epoch = proven ?? epochOf(yield* find(accountId))
        const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
        return yield* Effect.promise(() =>
          new SignJWT({ epoch })
            .setProtectedHeader({ alg: algorithm, typ: "JWT" })
            .setSubject(accountId)
            // Two logins within a second are two devices.
            .setJti(randomUUID())
            .setIssuer(issuer)
            .setAudience(audience)
            .setIssuedAt(now)
            .setNotBefore(now)
            .sign(privateKey)
        )
      })

    /** What the signature proves: the account, and the epoch the token was made in. */
    const ownClaimsOf = (token: string, nowMillis: number) =>
      Effect.tryPromise({
        try: () =>
          jwtVerify(token, publicKey, {
            algorithms: [algorithm],
            typ: "JWT",
            issuer,
            audience,
            clockTolerance,
            currentDate: new Date(nowMillis),
            requiredClaims: ["sub", "iat"]
          }),
        catch: () => invalidToken
      }).pipe(
        Effect.flatMap(({ payload: { sub, epoch = firstEpoch } }) =>
          sub !== undefined && Number.isSafeInteger(epoch)
            ? Effect.succeed({ accountId: sub, epoch: Number(epoch) })
            : invalidToken
        )
      )

    /** A token of the other server is as old as those from before there were epochs, so a revocation ends it too. */
    const claimsOf = (token: string, nowMillis: number) =>
      earlier.isOne(token)
        ? Effect.map(earlier.verify(token, nowMillis), (accountId) => ({ accountId, epoch: firstEpoch }))
        : ownClaimsOf(token, nowMillis)

    const verify = (token: string, client?: string) =>
      Effect.gen(function* () {
        const key = digestOf(token)
        if (key === undefined) return yield* invalidToken
        const now = yield* Clock.currentTimeMillis
        const trusted = known.trusted(key, client, now)
        if (trusted !== undefined) return trusted
        const before = forgetCount
        const { accountId, epoch } = yield* claimsOf(token, now)
        const account = yield* find(accountId, key)
        if (Option.isNone(account) || epoch < epochOf(account) || account.value.isRevoked === 1) {
          known.forget(key)
          return yield* invalidToken
        }
        if (account.value.isDisabled === 1) return yield* new AccountDisabled({ accountId })
        if (before === forgetCount) known.note(key, accountId, client, now)
        return accountId
      })

    return Context.make(Tokens, Tokens.of({ issue, forget, forgetToken, isDisabled, known: known.ofAccount })).pipe(
      Context.add(Authenticator, Authenticator.of({ verify }))
    )
  })

/**
 * Tokens signed with Ed25519 by a key derived from the master secret.
 * Algorithm, issuer and audience are pinned, the account must still exist, and
 * its tokens must not have been revoked since.
 */
export const layer = (
  options: Options = {}
): Layer.Layer<Tokens | Authenticator, never, DataDirectory | DatabaseReader> => Layer.scopedContext(make(options))
