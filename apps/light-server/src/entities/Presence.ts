/** Presence of sessions and machines. */
import * as PresenceEffect from "presence-effect/Presence"
import { kinds, type PresenceKey } from "./PresenceKey.ts"

export type { BeatOutcome, PresenceStatus } from "presence-effect/Presence"

export class Presence extends PresenceEffect.Tag("light-server/Presence", kinds)<Presence>() {}

export type Transition = PresenceEffect.Transition<PresenceKey>
