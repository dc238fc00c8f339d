/** Opening, changing, ending and deleting sessions. */
import { Context, Effect, Layer, Option } from "effect"
import { Presence } from "presence-effect/Presence"
import * as PresenceKey from "presence-effect/presence/PresenceKey"
import type { WriterError } from "presence-effect/writer/WriterError"
import type { DatabaseReader, ReadFailed } from "../database/DatabaseReader.ts"
import { cuid } from "../database/Ids.ts"
import { NotFound, type Unauthorized } from "../Failure.ts"
import * as AccountCursor from "../entities/AccountCursor.ts"
import * as Outbox from "../entities/Outbox.ts"
import { Emitter } from "../realtime/sending/Emitter.ts"
import * as Liveness from "../entities/Liveness.ts"
import { Ownership, requireOwned } from "../entities/Ownership.ts"
import * as Room from "../realtime/sending/Room.ts"
import * as Session from "./Session.ts"
import { type Replacement, SessionStore, type SessionText } from "./SessionStore.ts"

/** A text as it is stored. */
export interface CurrentText {
  readonly text: SessionText
  readonly version: number
  readonly value: string | null
}

/**
 * What became of a compare-and-set. The texts are the current ones, all that it
 * was about.
 */
export interface Replaced {
  readonly _tag: "Replaced" | "VersionMismatch"
  readonly texts: ReadonlyArray<CurrentText>
}

export class SessionRegistry extends Context.Tag("light-server/SessionRegistry")<
  SessionRegistry,
  {
    /** Creates a session, or answers with the one that has the tag. That one needs no write. */
    readonly open: (
      accountId: string,
      opening: Session.Opening
    ) => Effect.Effect<Session.SessionView, Unauthorized | WriterError | ReadFailed>
    readonly find: (accountId: string, id: string) => Effect.Effect<Session.SessionView, NotFound | ReadFailed>
    /** Replaces texts if all are at the expected versions. Everybody interested hears of it but `sender`. */
    readonly replace: (
      replacement: Replacement,
      sender?: string
    ) => Effect.Effect<Replaced, NotFound | Unauthorized | WriterError | ReadFailed>
    /** Ends a session of the account and tells its apps. Any other id has no effect. */
    readonly end: (accountId: string, id: string, claimedMillis: number) => Effect.Effect<void, ReadFailed>
    /** Deletes a session with all that belongs to it, and tells the apps of the account. */
    readonly remove: (
      accountId: string,
      id: string
    ) => Effect.Effect<void, NotFound | Unauthorized | WriterError | ReadFailed>
  }
>() {}

export const make = Effect.gen(function* () {
  const store = yield* SessionStore
  const presence = yield* Presence
  const ownership = yield* Ownership
  const emitter = yield* Emitter
  const outbox = yield* Outbox.make

  const livenessOf = (session: Session.Session) =>
    Liveness.of(presence, PresenceKey.session(session.accountId, session.id), session)
  const viewOf = (session: Session.Session) => Session.view(session, livenessOf(session))

  const changeOf = (accountId: string, id: string, mark: string): Outbox.Announced => ({
    accountId,
    change: { kind: "session", id },
    mark
  })

  const announce = (session: Session.Session, cursor: number) => {
    ownership.learn(PresenceKey.session(session.accountId, session.id))
    emitter.update(Room.toApps(session.accountId), {
      seq: cursor,
      body: Session.newSession(session, livenessOf(session))
    })
  }

  const create = (session: Session.Session) =>
    outbox
      .commit(changeOf(session.accountId, session.id, "created"), {
        write: store.insert(session),
        isStored: Effect.map(store.findById(session.accountId, session.id), Option.isSome),
        send: (cursor) => announce(session, cursor)
      })
      .pipe(
        Effect.as(session),
        // Who hangs up takes back neither the write nor the word about it.
        Effect.uninterruptible
      )

  /** A row that is known may come from a write that was not confirmed. */
  const meet = (session: Session.Session) =>
    Effect.as(
      outbox.settle(changeOf(session.accountId, session.id, "created"), (cursor) => announce(session, cursor)),
      session
    )

  const findOrCreate = (accountId: string, opening: Session.Opening) =>
    Effect.gen(function* () {
      const known = yield* store.findByTag(accountId, opening.tag)
      if (Option.isSome(known)) return yield* meet(known.value)
      return yield* create(Session.make(accountId, cuid(), opening, Date.now())).pipe(
        Effect.catchTag("WriteConflict", (conflict) =>
          Effect.gen(function* () {
            yield* AccountCursor.requireAccount(conflict)
            // Somebody else was faster: the winner's row is the answer.
            const winner = yield* store.findByTag(accountId, opening.tag)
            return Option.isSome(winner) ? yield* meet(winner.value) : yield* conflict
          })
        )
      )
    })

  const notFound = new NotFound({ what: "Session" })

  const requireOwn = (accountId: string, id: string) => requireOwned(ownership, PresenceKey.session(accountId, id))

  const currentTexts = ({ accountId, id, changes }: Replacement) =>
    Effect.gen(function* () {
      const found = yield* store.findById(accountId, id)
      if (Option.isNone(found)) return yield* notFound
      const session = found.value
      const texts = changes.map(({ text }) => ({ text, version: session[`${text}Version`], value: session[text] }))
      return { _tag: "VersionMismatch", texts } as const
    })

  const announceTexts = (
    { accountId, id }: Replacement,
    texts: ReadonlyArray<CurrentText>,
    cursor: number,
    sender?: string
  ) => {
    const replaced = Object.fromEntries(texts.map(({ text, value, version }) => [text, { value, version }]))
    emitter.update(
      Room.toSession(accountId, id),
      { seq: cursor, body: { t: "update-session", id, sid: id, ...replaced } },
      sender === undefined ? {} : { exceptSocket: sender }
    )
  }

  return SessionRegistry.of({
    open: (accountId, opening) => Effect.map(findOrCreate(accountId, opening), viewOf),
    find: (accountId, id) =>
      Effect.gen(function* () {
        const found = yield* store.findById(accountId, id)
        return Option.isSome(found) ? viewOf(found.value) : yield* new NotFound({ what: "Session" })
      }),
    replace: (replacement, sender) =>
      Effect.gen(function* () {
        const { accountId, id, changes } = replacement
        yield* requireOwn(accountId, id)
        const texts = changes.map(({ text, value, expectedVersion }) => ({ text, version: expectedVersion + 1, value }))
        const mark = texts.map(({ text, version }) => `${text} ${version}`).join(", ")
        yield* outbox.commit(changeOf(accountId, id, mark), {
          write: store.replace(replacement),
          isStored: Effect.map(
            store.findById(accountId, id),
            Option.exists((session) =>
              texts.every(
                ({ text, value, version }) => session[text] === value && session[`${text}Version`] === version
              )
            )
          ),
          send: (cursor) => announceTexts(replacement, texts, cursor, sender)
        })
        return { _tag: "Replaced", texts } as const
      }).pipe(
        // Who hangs up takes back neither the write nor the word about it.
        Effect.uninterruptible,
        Effect.catchTag("WriteConflict", (conflict) =>
          Effect.zipRight(AccountCursor.requireAccount(conflict), currentTexts(replacement))
        )
      ),
    end: (accountId, id, claimedMillis) =>
      Effect.gen(function* () {
        const key = PresenceKey.session(accountId, id)
        if ((yield* ownership.check(key)) !== "owned") return
        // A clock ahead of ours must not deafen the session for the future.
        const endedAt = Math.min(claimedMillis, Date.now())
        yield* presence.end(key, endedAt)
        emitter.ephemeral(Room.toApps(accountId), {
          type: "activity",
          id,
          active: false,
          activeAt: presence.lastSeen(key)?.lastSeenMillis ?? endedAt,
          thinking: false
        })
      }),
    remove: (accountId, id) => {
      const key = PresenceKey.session(accountId, id)
      const removal = Effect.zipRight(requireOwn(accountId, id), store.remove(accountId, id)).pipe(
        Effect.catchTag("WriteConflict", (conflict) =>
          Effect.zipRight(AccountCursor.requireAccount(conflict), notFound)
        )
      )
      return outbox
        .commit(changeOf(accountId, id, "deleted"), {
          write: removal,
          isStored: Effect.map(store.findById(accountId, id), Option.isNone),
          send: (cursor) => {
            ownership.forget(key)
            presence.forget(key)
            emitter.update(Room.toApps(accountId), { seq: cursor, body: { t: "delete-session", id, sid: id } })
          }
        })
        .pipe(Effect.uninterruptible)
    }
  })
})

export const layer: Layer.Layer<
  SessionRegistry,
  never,
  SessionStore | Presence | Ownership | Emitter | DatabaseReader
> = Layer.effect(SessionRegistry, make)
