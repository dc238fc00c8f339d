/** Shared by all parts of one simulation of replicas: the time, the database, and the first guarantee broken. */
import { VirtualTime } from "contention-lab/VirtualTime"
import * as Presence from "presence-effect/Presence"
import * as PresenceStorage from "presence-effect/presence/PresenceStorage"
import * as SimulatedReplicas from "presence-effect/testing/SimulatedReplicas"
import { Audited } from "../Audited.ts"
import * as Trace from "../Trace.ts"
import type { Scenario } from "./ReplicaScenario.ts"

export class ClusterPresence extends Presence.Tag("simulation/Cluster", {
  session: { accountId: "accountId", servedBy: "servedBy" }
})<ClusterPresence>() {}

export type SessionKey = { readonly kind: "session"; readonly accountId: string; readonly id: string }

export const keyOf = (index: number): SessionKey => ({ kind: "session", accountId: "a", id: `s${index}` })

/** Round trip to the database. */
export const latencyMillis = 20

export class ReplicaStage extends Audited {
  readonly scenario: Scenario
  readonly time = new VirtualTime({ wallMillis: 1_800_000_000_000 })
  readonly rows = PresenceStorage.memoryRows(ClusterPresence.kinds)
  readonly database: SimulatedReplicas.SimulatedReplicas
  readonly trace: Trace.Trace
  /** Called after each change of rows, with the epoch of the replica that made it. */
  onCommit: (epoch: string) => void = () => undefined

  constructor(scenario: Scenario, print?: (line: string) => void) {
    super()
    this.scenario = scenario
    this.trace = Trace.make(() => this.time.elapsedMillis(), print)
    for (let index = 0; index < scenario.sessionCount; index++) {
      this.rows.set("session", { ...keyOf(index), active: false, lastActiveMillis: 0 })
    }
    this.database = SimulatedReplicas.make(ClusterPresence.kinds, this.rows, {
      nowMillis: () => this.time.wallMillis(),
      latencyMillis,
      onCommit: (epoch) => this.onCommit(epoch)
    })
  }
}
