/** Opening, changing, ending, archiving and deleting sessions. */
import { Context, Effect, Layer, Option } from "effect"
import { Presence } from "../entities/Presence.ts"
import * as PresenceKey from "../entities/PresenceKey.ts"
import type { DatabaseReader, ReadFailed } from "../database/DatabaseReader.ts"
import { cuid } from "../database/Ids.ts"
import { NotFound, type Unauthorized } from "../Failure.ts"
import * as AccountCursor from "../entities/AccountCursor.ts"
import * as CompareAndSet from "../entities/CompareAndSet.ts"
import * as FindOrCreate from "../entities/FindOrCreate.ts"
import * as Outbox from "../entities/Outbox.ts"
import type { Emitter } from "../realtime/sending/Emitter.ts"
import * as Liveness from "../entities/Liveness.ts"
import { isOwn, Ownership, requireOwned } from "../entities/Ownership.ts"
import * as Archiving from "./Archiving.ts"
import * as Session from "./Session.ts"
import * as SessionAnnouncements from "./SessionAnnouncements.ts"
import { type Replacement, SessionStore, type SessionText } from "./SessionStore.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

export type Replaced = CompareAndSet.Replaced<SessionText>

export class SessionRegistry extends Context.Tag("light-server/SessionRegistry")<
  SessionRegistry,
  {
    /** Creates a session, or returns the one that has the tag, without a write. */
    readonly open: (
      accountId: string,
      opening: Session.Opening
    ) => Effect.Effect<Session.SessionView, Unauthorized | WriteFailure | ReadFailed>
    readonly find: (accountId: string, id: string) => Effect.Effect<Session.SessionView, NotFound | ReadFailed>
    /** Replaces texts if all are at the expected versions, and announces it to all but the socket `sender`. */
    readonly replace: (
      replacement: Replacement,
      sender?: string
    ) => Effect.Effect<Replaced, NotFound | Unauthorized | WriteFailure | ReadFailed>
    /** Ends a session of the account and announces it to the apps. Any other id has no effect. */
    readonly end: (accountId: string, id: string, claimedMillis: number) => Effect.Effect<void, ReadFailed>
    /** Deletes a session with all that belongs to it, and announces it to the apps. */
    readonly remove: (
      accountId: string,
      id: string
    ) => Effect.Effect<void, NotFound | Unauthorized | WriteFailure | ReadFailed>
  } & Archiving.Archiving
>() {}

const changeOf = (id: string) => ({ kind: "session", id }) as const

const requireFound = Option.match({
  onNone: () => Effect.fail(new NotFound({ what: "Session" })),
  onSome: (session: Session.Session) => Effect.succeed(session)
})

interface Parts {
  readonly store: SessionStore["Type"]
  readonly ownership: Ownership["Type"]
  readonly outbox: Outbox.Outbox
  readonly announcements: SessionAnnouncements.SessionAnnouncements
}

const open = ({ store, outbox, announcements }: Parts, accountId: string, opening: Session.Opening) =>
  FindOrCreate.run({
    outbox,
    find: store.findByTag(accountId, opening.tag),
    make: () => Session.make(accountId, cuid(), opening, Date.now()),
    changeOf: ({ id }) => ({ accountId, change: changeOf(id) }),
    insert: store.insert,
    isStored: ({ id }) => Effect.map(store.findById(accountId, id), Option.isSome),
    send: announcements.created
  })

const remove = ({ store, ownership, outbox, announcements }: Parts, accountId: string, id: string) => {
  const removal = requireOwned(ownership, PresenceKey.session(accountId, id)).pipe(
    Effect.zipRight(store.remove(accountId, id)),
    Effect.catchTag("WriteConflict", (conflict) =>
      Effect.zipRight(AccountCursor.requireAccount(conflict), Effect.fail(new NotFound({ what: "Session" })))
    )
  )
  return outbox
    .commit(
      { accountId, change: changeOf(id), mark: "deleted" },
      {
        write: removal,
        isStored: Effect.map(store.findById(accountId, id), Option.isNone),
        send: (cursor) => announcements.deleted(accountId, id, cursor)
      }
    )
    .pipe(Effect.uninterruptible)
}

export const make = Effect.gen(function* () {
  const store = yield* SessionStore
  const presence = yield* Presence
  const ownership = yield* Ownership
  const outbox = yield* Outbox.make
  const announcements = yield* SessionAnnouncements.make
  const parts: Parts = { store, ownership, outbox, announcements }

  const viewOf = (session: Session.Session) =>
    Session.view(session, Liveness.of(presence, PresenceKey.session(session.accountId, session.id), session))

  return SessionRegistry.of({
    open: (accountId, opening) => Effect.map(open(parts, accountId, opening), viewOf),
    find: (accountId, id) => Effect.map(Effect.flatMap(store.findById(accountId, id), requireFound), viewOf),
    replace: (replacement, sender) => {
      const { accountId, id, changes } = replacement
      return CompareAndSet.run({
        outbox,
        accountId,
        change: changeOf(id),
        changes,
        authorize: requireOwned(ownership, PresenceKey.session(accountId, id)),
        write: store.replace(replacement),
        find: store.findById(accountId, id),
        require: requireFound,
        send: (texts, cursor) => announcements.replaced(accountId, id, texts, cursor, sender)
      })
    },
    end: (accountId, id, claimedMillis) =>
      Effect.gen(function* () {
        const key = PresenceKey.session(accountId, id)
        if (!isOwn(yield* ownership.check(key))) return
        // A client clock that is ahead must not make later heartbeats of the session look old.
        const endedAt = Math.min(claimedMillis, Date.now())
        yield* presence.end(key, endedAt)
        announcements.ended(accountId, id, presence.lastSeen(key)?.lastSeenMillis ?? endedAt)
      }),
    remove: (accountId, id) => remove(parts, accountId, id),
    ...Archiving.make({ ...parts, presence })
  })
})

export const layer: Layer.Layer<
  SessionRegistry,
  never,
  SessionStore | Presence | Ownership | Emitter | DatabaseReader
> = Layer.scoped(SessionRegistry, make)
