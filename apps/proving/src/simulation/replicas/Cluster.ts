/** Three replicas over one database, and what happens to them. */
import * as Dice from "../Dice.ts"
import type { PromiseAuditor } from "./PromiseAuditor.ts"
import { ReplicaClient } from "./ReplicaClients.ts"
import { replicaCount, type Trouble } from "./ReplicaScenario.ts"
import type { ReplicaStage } from "./ReplicaStage.ts"
import { SimulatedReplica } from "./SimulatedReplica.ts"

const second = 1_000

export class Cluster {
  readonly replicas: Array<SimulatedReplica> = []
  readonly clients: ReadonlyArray<ReplicaClient>
  isDatabaseAway = false
  databaseBackMillis = 0
  private bootCount = 0
  private readonly stage: ReplicaStage
  private readonly auditor: PromiseAuditor
  private readonly dice: Dice.Dice

  constructor(stage: ReplicaStage, auditor: PromiseAuditor) {
    this.stage = stage
    this.auditor = auditor
    this.dice = Dice.make(stage.scenario.seed, "cluster")
    for (let slot = 0; slot < replicaCount; slot++) this.boot(slot)
    this.clients = Array.from(
      { length: stage.scenario.sessionCount },
      (_, index) => new ReplicaClient(stage, this, index)
    )
  }

  private boot(slot: number): void {
    const replica = new SimulatedReplica(this.stage, slot, this.bootCount++, {
      told: (replica, id, reason) => {
        this.stage.trace.note(`${replica.name} tells that ${id} is offline (${reason})`)
        this.stage.audit(() => this.auditor.told(replica, id, reason))
      },
      gone: (replica) => this.auditor.gone(replica)
    })
    this.replicas[slot] = replica
  }

  cause(trouble: Trouble): void {
    if (trouble._tag === "DatabaseAway") return this.databaseAway(trouble.millis)
    const replica = this.replicas[trouble.slot]
    if (replica?.isUp() !== true) return
    if (trouble._tag === "Crash") this.crash(replica, trouble.downMillis, trouble.isPowerLoss)
    else if (trouble._tag === "Suspend") this.suspend(replica, trouble.millis)
    else this.restart(replica, trouble.downMillis)
  }

  private databaseAway(millis: number): void {
    this.stage.trace.note(`the database is away for ${millis} ms`)
    this.isDatabaseAway = true
    this.stage.database.setAway(true)
    this.stage.time.after(millis, () => {
      this.stage.trace.note("the database is back")
      this.isDatabaseAway = false
      this.databaseBackMillis = this.stage.time.elapsedMillis()
      this.stage.database.setAway(false)
    })
  }

  private crash(replica: SimulatedReplica, downMillis: number, isPowerLoss: boolean): void {
    replica.crash()
    this.auditor.gone(replica)
    for (const client of this.clients) client.died(replica, isPowerLoss ? this.dice.whole(0, 45) * second : 0)
    this.stage.time.after(downMillis, () => this.boot(replica.slot))
  }

  private suspend(replica: SimulatedReplica, millis: number): void {
    replica.suspend()
    for (const client of this.clients) client.stalled(replica)
    this.stage.time.after(millis, () => replica.resume())
  }

  private restart(replica: SimulatedReplica, downMillis: number): void {
    for (const client of this.clients) client.dismissed(replica)
    replica.stop()
    // The last flush has 3 s; what is left of the process then is killed.
    this.stage.time.after(4_000 + downMillis, () => this.boot(replica.slot))
  }
}
