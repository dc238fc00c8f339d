/** Updates about sessions that clients receive. */
import { Effect } from "effect"
import { Presence } from "../entities/Presence.ts"
import * as PresenceKey from "../entities/PresenceKey.ts"
import type { CurrentText } from "../entities/CompareAndSet.ts"
import * as Liveness from "../entities/Liveness.ts"
import { Ownership } from "../entities/Ownership.ts"
import { Emitter } from "../realtime/sending/Emitter.ts"
import * as Room from "../realtime/sending/Room.ts"
import * as Session from "./Session.ts"
import type { SessionText } from "./SessionStore.ts"

export interface SessionAnnouncements {
  /** `new-session` for the apps. */
  readonly created: (session: Session.Session, cursor: number) => void
  /** `update-session` for the apps and the agent, except the socket that replaced the texts. */
  readonly replaced: (
    accountId: string,
    id: string,
    texts: ReadonlyArray<CurrentText<SessionText>>,
    cursor: number,
    sender: string | undefined
  ) => void
  /** `update-session` for the apps and the agent. `null`: the session is no longer archived. */
  readonly archived: (accountId: string, id: string, archivedAt: number | null, cursor: number) => void
  /** `activity` for the apps. */
  readonly ended: (accountId: string, id: string, activeAt: number) => void
  /** `delete-session` for the apps. Memory forgets the session first. */
  readonly deleted: (accountId: string, id: string, cursor: number) => void
}

export const make: Effect.Effect<SessionAnnouncements, never, Presence | Ownership | Emitter> = Effect.gen(
  function* () {
    const presence = yield* Presence
    const ownership = yield* Ownership
    const emitter = yield* Emitter

    return {
      created: (session, cursor) => {
        const key = PresenceKey.session(session.accountId, session.id)
        ownership.learn(key)
        emitter.update(Room.toApps(session.accountId), {
          seq: cursor,
          body: Session.newSession(session, Liveness.of(presence, key, session))
        })
      },
      replaced: (accountId, id, texts, cursor, sender) => {
        const replaced = Object.fromEntries(texts.map(({ text, value, version }) => [text, { value, version }]))
        emitter.update(
          Room.toSession(accountId, id),
          { seq: cursor, body: { t: "update-session", id, sid: id, ...replaced } },
          sender === undefined ? {} : { exceptSocket: sender }
        )
      },
      archived: (accountId, id, archivedAt, cursor) =>
        emitter.update(Room.toSession(accountId, id), {
          seq: cursor,
          body: { t: "update-session", id, sid: id, archivedAt }
        }),
      ended: (accountId, id, activeAt) =>
        emitter.ephemeral(Room.toApps(accountId), { type: "activity", id, active: false, activeAt, thinking: false }),
      deleted: (accountId, id, cursor) => {
        const key = PresenceKey.session(accountId, id)
        ownership.forget(key)
        presence.forget(key)
        emitter.update(Room.toApps(accountId), { seq: cursor, body: { t: "delete-session", id, sid: id } })
      }
    }
  }
)
