/** The rows that the simulation keeps online: those of the incident, as in the lab. */
import { kinds, type PresenceKey } from "contention-lab/PresenceKey"
import * as Presence from "presence-effect/Presence"

export { machine, type PresenceKey, session } from "contention-lab/PresenceKey"

export class SimulatedPresence extends Presence.Tag("simulation/Presence", kinds)<SimulatedPresence>() {}

export type Transition = Presence.Transition<PresenceKey>
