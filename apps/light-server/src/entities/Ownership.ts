/** Which account a session or a machine belongs to, remembered for a short while. */
import { Context, Deferred, Duration, Effect, Exit, FiberId, Hash, Layer, type Scope } from "effect"
import * as LruCache from "../LruCache.ts"
import * as OwnerReads from "./OwnerReads.ts"
import type { PresenceKey, PresenceKind } from "./PresenceKey.ts"
import type { DatabaseReader, ReadFailed } from "../database/DatabaseReader.ts"
import { NotFound } from "../Failure.ts"
import { Replicas } from "../replicas/ReplicaBus.ts"

/**
 * `foreign`: the row belongs to another account. `missing`: there is no such row.
 * `revoked`: a machine of the account that was revoked for good. `archived`: a session of the account that no
 * sign of life brings online.
 */
export type Validity = "owned" | "foreign" | "missing" | "revoked" | "archived"

export class Ownership extends Context.Tag("light-server/Ownership")<
  Ownership,
  {
    /** The remembered verdict. A plain function, for hot callbacks. */
    readonly remembered: (key: PresenceKey) => Validity | undefined
    /** The remembered verdict, or else one read from the database. */
    readonly check: (key: PresenceKey) => Effect.Effect<Validity, ReadFailed>
    /** The row of this account was just created or unarchived. */
    readonly learn: (key: PresenceKey) => void
    /** The row was just deleted. */
    readonly forget: (key: PresenceKey) => void
    /** The session of this account is archived. */
    readonly archive: (key: PresenceKey) => void
    /** The remembered verdict may be outdated. */
    readonly unlearn: (key: PresenceKey) => void
    /** The machine of the account was found to be revoked. */
    readonly revoke: (key: PresenceKey) => void
    /** Calls `listener` whenever a machine is found to be revoked. */
    readonly onRevoked: (listener: (key: PresenceKey) => void) => Effect.Effect<void, never, Scope.Scope>
  }
>() {}

const names: { readonly [kind in PresenceKind]: string } = { session: "Session", machine: "Machine" }

/** The row belongs to the account of the key, and may be used and changed. */
export const isOwn = (validity: Validity): boolean => validity === "owned" || validity === "archived"

/**
 * Fails with `NotFound` unless the row belongs to the account of the key: a
 * missing row and one of another account answer alike. A machine that was
 * revoked is not found either.
 */
export const requireOwned = (
  ownership: Pick<Ownership["Type"], "check">,
  key: PresenceKey
): Effect.Effect<Validity, NotFound | ReadFailed> =>
  Effect.filterOrFail(ownership.check(key), isOwn, () => new NotFound({ what: names[key.kind] }))

const validityOf = (key: PresenceKey, owner: OwnerReads.Owner | undefined): Validity => {
  if (owner === undefined) return "missing"
  const { accountId, isArchived, isRevoked } = owner
  if (accountId !== key.accountId) return "foreign"
  if (isRevoked) return "revoked"
  return isArchived ? "archived" : "owned"
}

/** Between a half and one: rows that were read at once need not be read again at once. */
const shareOf = (name: string): number => 0.5 + (Hash.string(name) & 255) / 510

/** The id comes last: it is the only part that a client chooses. */
const textOf = (key: PresenceKey) => `${key.kind}:${key.accountId}:${key.id}`

export interface Options {
  /** Longest time that a verdict is remembered; some are for half of it. */
  readonly validityTtl: Duration.DurationInput
  /** Verdicts that are remembered. The least recently used one is forgotten first. */
  readonly validityCapacity: number
}

/** A change of a row as other replicas receive it: their verdict about it may be outdated. */
interface Notice {
  readonly key: PresenceKey
  readonly isRevoked: boolean
}

const topic = "ownership"

type Answer = Deferred.Deferred<Validity, ReadFailed>

/** The verdicts of this process, and the news about them from and for other replicas. */
const makeVerdicts = (options: Options) =>
  Effect.gen(function* () {
    const replicas = yield* Replicas
    const ttlMillis = Duration.toMillis(options.validityTtl)
    const clock = yield* Effect.clock
    const verdicts = LruCache.make<Validity>(options.validityCapacity, {
      ttl: ttlMillis,
      // Does not go back. The cache takes 0 for no time at all.
      perf: { now: () => 1 + Number(clock.unsafeCurrentTimeNanos()) / 1e6 }
    })
    const listeners = new Set<(key: PresenceKey) => void>()
    /** Reads that are under way. Not among them is one whose row has changed since it began. */
    const reads = new Map<string, Answer>()
    const set = (key: PresenceKey, validity: Validity) => {
      const name = textOf(key)
      reads.delete(name)
      verdicts.set(name, validity, { ttl: ttlMillis * shareOf(name) })
    }
    const outdate = (key: PresenceKey) => {
      reads.delete(textOf(key))
      verdicts.delete(textOf(key))
    }
    const findRevoked = (key: PresenceKey) => {
      set(key, "revoked")
      for (const listener of listeners) listener(key)
    }
    yield* replicas.listen(topic, (notice) => {
      const { isRevoked, key } = notice as Notice
      if (isRevoked) findRevoked(key)
      else outdate(key)
    })
    return {
      listeners,
      reads,
      outdate,
      findRevoked,
      remembered: (key: PresenceKey) => verdicts.get(textOf(key)),
      set,
      notify: (key: PresenceKey, isRevoked = false) => void replicas.send(topic, { key, isRevoked })
    }
  })

type Verdicts = Effect.Effect.Success<ReturnType<typeof makeVerdicts>>

/** A row that beats faster than it is read, such as in a storm of reconnects, is read once for all callers. */
const makeCheck =
  ({ findRevoked, reads, remembered, set }: Verdicts, ask: OwnerReads.Ask) =>
  (key: PresenceKey): Effect.Effect<Validity, ReadFailed> => {
    const name = textOf(key)
    const finish = (answer: Answer, exit: Exit.Exit<Validity, ReadFailed>): void => {
      if (reads.get(name) === answer) {
        reads.delete(name)
        if (Exit.isSuccess(exit) && exit.value === "revoked") findRevoked(key)
        else if (Exit.isSuccess(exit)) set(key, exit.value)
      }
      // A row may have been created while the statement ran: a verdict recorded meanwhile is newer.
      Deferred.unsafeDone(
        answer,
        Exit.map(exit, (found) => remembered(key) ?? found)
      )
    }
    // Not in the fiber of the first caller, which may go away: others need the answer.
    const begin = Effect.suspend(() => {
      const answer: Answer = Deferred.unsafeMake(FiberId.none)
      reads.set(name, answer)
      const finished = (found: OwnerReads.Found) =>
        finish(
          answer,
          Exit.map(found, (owner) => validityOf(key, owner))
        )
      return Effect.as(ask(key.kind, key.id, finished), answer)
    })
    const underWay = Effect.suspend(() => {
      const answer = reads.get(name)
      return answer === undefined ? begin : Effect.succeed(answer)
    })
    const attempt = Effect.suspend(() => {
      const known = remembered(key)
      return known === undefined
        ? Effect.flatMap(Effect.uninterruptible(underWay), Deferred.await)
        : Effect.succeed(known)
    })
    // A read that another caller began may fail: that costs its own heartbeat, and not those of the others.
    return Effect.suspend(() => (reads.has(name) ? Effect.orElse(attempt, () => attempt) : attempt))
  }

export const make = (options: Options): Effect.Effect<Ownership["Type"], never, DatabaseReader | Scope.Scope> =>
  Effect.gen(function* () {
    const verdicts = yield* makeVerdicts(options)
    const { findRevoked, listeners, notify, outdate, remembered, set } = verdicts
    const know = (key: PresenceKey, validity: Validity) => {
      set(key, validity)
      notify(key)
    }
    return Ownership.of({
      remembered,
      check: makeCheck(verdicts, yield* OwnerReads.make),
      learn: (key) => know(key, "owned"),
      forget: (key) => know(key, "missing"),
      archive: (key) => know(key, "archived"),
      unlearn: (key) => {
        outdate(key)
        notify(key)
      },
      revoke: (key) => {
        findRevoked(key)
        notify(key, true)
      },
      onRevoked: (listener) =>
        Effect.asVoid(
          Effect.acquireRelease(
            Effect.sync(() => listeners.add(listener)),
            () => Effect.sync(() => listeners.delete(listener))
          )
        )
    })
  })

export const layer = (options: Options): Layer.Layer<Ownership, never, DatabaseReader> =>
  Layer.scoped(Ownership, make(options))
