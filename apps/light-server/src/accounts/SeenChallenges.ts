/**
 * Which challenges were signed before.
 *
 * The client chooses the challenge itself, so a recorded signed triple would be
 * valid for ever. Each triple is remembered, and refused when it comes again
 * later than a retry would, or after the tokens of its account were revoked.
 * Restarts do not change this.
 */
import { Clock, Context, Duration, Effect, Layer, Option, Queue, Schema } from "effect"
import { createHash } from "node:crypto"
import path from "node:path"
import * as LruCache from "../LruCache.ts"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import { challengeFile, DataDirectory } from "../opening/DataDirectory.ts"
import { Replicas } from "../replicas/ReplicaBus.ts"
import * as ChallengeFile from "./ChallengeFile.ts"

export class SeenChallenges extends Context.Tag("light-server/SeenChallenges")<
  SeenChallenges,
  {
    /**
     * Remembers a challenge that was signed with this key. Returns the epoch of the account's tokens, or nothing when
     * the challenge is to be refused.
     */
    readonly take: (publicKey: Uint8Array, challenge: Uint8Array) => Effect.Effect<Option.Option<number>, ReadFailed>
  }
>() {}

export interface Options {
  /** A triple that comes again within this time is a retry of the same client. */
  readonly retryWindow?: Duration.DurationInput
  /** A triple that comes again within this time, and is no retry, is refused. */
  readonly replayWindow?: Duration.DurationInput
  /** Triples remembered; the oldest are forgotten first. */
  readonly capacity?: number
}

const fingerprint = (publicKey: Uint8Array, challenge: Uint8Array) =>
  createHash("sha256").update(publicKey).update(challenge).digest("base64")

const Epoch = Schema.Struct({ epoch: Schema.NullOr(Schema.Int) })

const selectEpoch = `SELECT "TokenRevocation"."epoch" FROM "Account"
  LEFT JOIN "TokenRevocation" ON "TokenRevocation"."accountId" = "Account"."id"
  WHERE "Account"."publicKey" IN (?, ?) LIMIT 1`

const topic = "challenge"

const make = (options: Options) =>
  Effect.gen(function* () {
    const reader = yield* DatabaseReader
    const directory = yield* DataDirectory
    const replicas = yield* Replicas
    const retryMillis = Duration.toMillis(options.retryWindow ?? "30 seconds")
    const replayMillis = Duration.toMillis(options.replayWindow ?? "24 hours")
    const capacity = options.capacity ?? 20_000
    const file = yield* ChallengeFile.open(path.join(directory.path, challengeFile), 2 * capacity)
    const known = LruCache.make<ChallengeFile.Seen>(capacity)
    for (const seen of file.kept) known.set(seen.key, seen)

    const keep = (seen: ChallengeFile.Seen) => {
      known.set(seen.key, seen)
      return file.add(seen, () => [...known.values()].toReversed())
    }
    // What one replica has seen is no new challenge for the others.
    const received = yield* Queue.sliding<ChallengeFile.Seen>(capacity)
    yield* replicas.listen(topic, (seen) => void Queue.unsafeOffer(received, seen as ChallengeFile.Seen))
    if (!replicas.isAlone) {
      const keepNew = (seen: ChallengeFile.Seen) => (known.has(seen.key) ? Effect.void : keep(seen))
      yield* Effect.forkScoped(Effect.forever(Effect.flatMap(Queue.take(received), keepNew)))
    }

    const epochOf = (publicKey: Uint8Array) => {
      const hex = Buffer.from(publicKey).toString("hex")
      // Accounts that do not exist yet or never revoked their tokens have no epoch, like tokens that were issued before
      // there were epochs.
      return Effect.map(reader.first(Epoch, selectEpoch, [hex, hex.toUpperCase()]), (found) =>
        Option.match(found, { onNone: () => 0, onSome: ({ epoch }) => epoch ?? 0 })
      )
    }

    return SeenChallenges.of({
      take: (publicKey, challenge) =>
        Effect.gen(function* () {
          const epoch = yield* epochOf(publicKey)
          const now = yield* Clock.currentTimeMillis
          const key = fingerprint(publicKey, challenge)
          const before = known.get(key)
          if (before === undefined || now - before.seenAtMillis > replayMillis) {
            const seen = { key, seenAtMillis: now, epoch }
            replicas.send(topic, seen)
            yield* keep(seen)
            return Option.some(epoch)
          }
          // The first time counts; a retry does not prolong its window. A clock that was set back makes no triple new.
          const isRetry = Math.abs(now - before.seenAtMillis) <= retryMillis && before.epoch === epoch
          return isRetry ? Option.some(epoch) : Option.none()
        })
    })
  })

export const layer = (options: Options = {}): Layer.Layer<SeenChallenges, never, DatabaseReader | DataDirectory> =>
  Layer.scoped(SeenChallenges, make(options))
