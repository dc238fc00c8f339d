/** Archiving and unarchiving sessions. */
import { Effect, Option } from "effect"
import type { Presence } from "../entities/Presence.ts"
import * as PresenceKey from "../entities/PresenceKey.ts"
import type { ReadFailed } from "../database/DatabaseReader.ts"
import * as AccountCursor from "../entities/AccountCursor.ts"
import * as Liveness from "../entities/Liveness.ts"
import type * as Outbox from "../entities/Outbox.ts"
import type { Ownership } from "../entities/Ownership.ts"
import { Conflict, Forbidden, type Unauthorized } from "../Failure.ts"
import type { SessionAnnouncements } from "./SessionAnnouncements.ts"
import type { SessionStore } from "./SessionStore.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

type Failure = Forbidden | Unauthorized | WriteFailure | ReadFailed

export interface Archiving {
  /**
   * Archives a session that is not active, and returns the time. No sign of
   * life brings it online until it is unarchived. Archiving it again changes the
   * time.
   */
  readonly archive: (accountId: string, id: string) => Effect.Effect<number, Conflict | Failure>
  readonly unarchive: (accountId: string, id: string) => Effect.Effect<void, Failure>
}

export interface Parts {
  readonly store: SessionStore["Type"]
  readonly presence: Presence["Type"]
  readonly ownership: Ownership["Type"]
  readonly outbox: Outbox.Outbox
  readonly announcements: SessionAnnouncements
}

/** For these routes clients expect the same answer for a missing session as for one of another account. */
const forbidden = Effect.fail(new Forbidden({ error: "Forbidden" }))

export const make = ({ store, presence, ownership, outbox, announcements }: Parts): Archiving => {
  const findOwn = (accountId: string, id: string) =>
    Effect.flatMap(
      store.findById(accountId, id),
      Option.match({ onNone: () => forbidden, onSome: (session) => Effect.succeed(session) })
    )

  const write = (accountId: string, id: string, archivedAt: number | null) =>
    outbox
      .commit(
        { accountId, change: { kind: "session", id }, mark: archivedAt === null ? "unarchived" : "archived" },
        {
          write: store.archive({ accountId, id, archivedAt }),
          isStored: Effect.map(
            store.findById(accountId, id),
            Option.exists((session) => session.archivedAt === archivedAt)
          ),
          send: (cursor) => announcements.archived(accountId, id, archivedAt, cursor)
        }
      )
      .pipe(
        Effect.catchTag("WriteConflict", (conflict) =>
          Effect.zipRight(AccountCursor.requireAccount(conflict), forbidden)
        )
      )

  return {
    archive: (accountId, id) =>
      Effect.gen(function* () {
        const key = PresenceKey.session(accountId, id)
        const session = yield* findOwn(accountId, id)
        if (Liveness.of(presence, key, session).active) return yield* new Conflict({ error: "session-active" })
        // In the same turn as the check: a sign of life before the commit must not count.
        ownership.archive(key)
        const archivedAt = Date.now()
        yield* Effect.onError(write(accountId, id, archivedAt), () => Effect.sync(() => ownership.unlearn(key)))
        // It may have been unarchived while this write waited.
        ownership.archive(key)
        return archivedAt
      }).pipe(Effect.uninterruptible),
    unarchive: (accountId, id) =>
      Effect.gen(function* () {
        const key = PresenceKey.session(accountId, id)
        yield* findOwn(accountId, id)
        yield* Effect.onError(write(accountId, id, null), () => Effect.sync(() => ownership.unlearn(key)))
        ownership.learn(key)
      }).pipe(Effect.uninterruptible)
  }
}
