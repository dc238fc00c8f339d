/** What presence of several replicas promises, checked against the clients that are really there. */
import { Violation } from "../Call.ts"
import type { ReplicaClient } from "./ReplicaClients.ts"
import type { ReplicaStage } from "./ReplicaStage.ts"
import { type SimulatedReplica, startGraceMillis } from "./SimulatedReplica.ts"

/** From a connection to its write: a second in which others may join it, and the time of the database. */
const writtenWithinMillis = 2_000

/** The same after a pause or without a database: a beat first finds that the lease is lost. */
const writtenAgainWithinMillis = 12_000

/** Lease, grace and a beat, when nothing else is wrong. */
const offlineWithinMillis = 40_000

/** How long a replica must hold its lease before it takes over. */
const ripeAfterMillis = 20_000

/** What is looked at. */
interface AuditedCluster {
  readonly replicas: ReadonlyArray<SimulatedReplica>
  readonly clients: ReadonlyArray<ReplicaClient>
  readonly isDatabaseAway: boolean
  readonly databaseBackMillis: number
}

/** A row became offline, which must be told. */
interface Edge {
  readonly id: string
  readonly epoch: string
  /** The replica has a connection of it. Unless it ended, it is written again, and nothing is told. */
  readonly isHeld: boolean
}

/**
 * What was counted: rows that became offline and how often that was told, how many of them had a client at that moment,
 * and the seconds that clients were there and not shown so. The last two are the time until a report is written.
 */
export type Counts = PromiseAuditor["counts"]

export class PromiseAuditor {
  cluster: AuditedCluster | undefined
  readonly counts = { offline: 0, told: 0, whileThere: 0, sessionSeconds: 0, falseSeconds: 0 }
  private readonly stage: ReplicaStage
  private readonly active = new Map<string, boolean>()
  private untold: Array<Edge> = []
  /** When no replica was there that could take over. */
  private unripeMillis = 0

  constructor(stage: ReplicaStage) {
    this.stage = stage
    stage.onCommit = (epoch) => stage.audit(() => this.committed(epoch))
  }

  private now(): number {
    return this.stage.time.elapsedMillis()
  }

  /** Since when presence had the means to show this client online, or `undefined`: its client is not there. */
  private settledSince({ socket }: ReplicaClient): number | undefined {
    if (socket === undefined || !socket.replica.isUp() || this.cluster?.isDatabaseAway !== false) return undefined
    const { databaseBackMillis } = this.cluster
    const { ableSinceMillis } = socket.replica
    return Math.max(
      socket.openedAtMillis + writtenWithinMillis,
      ableSinceMillis + writtenAgainWithinMillis,
      databaseBackMillis + writtenAgainWithinMillis
    )
  }

  private isSettled(client: ReplicaClient): boolean {
    const since = this.settledSince(client)
    return since !== undefined && this.now() >= since
  }

  private committed(epoch: string): void {
    for (const client of this.cluster?.clients ?? []) {
      const { id } = client.key
      const row = this.stage.rows.get(client.key)
      if (row === undefined) throw new Violation(`the row of ${id} is gone`)
      if (row.lastActiveMillis > this.stage.time.wallMillis() + 1_000) {
        throw new Violation(`${epoch} stores a time for ${id} that lies ahead`)
      }
      const wasActive = this.active.get(id) ?? false
      this.active.set(id, row.active)
      if (wasActive === row.active) continue
      this.stage.trace.note(`${epoch} stores ${id} as ${row.active ? "online" : "offline"}`)
      if (row.active) {
        this.untold = this.untold.filter((edge) => edge.id !== id || !edge.isHeld)
        continue
      }
      this.counts.offline++
      const isHeld = [...client.open].some(({ replica }) => replica.epochs.has(epoch))
      this.untold.push({ id, epoch, isHeld })
      if (client.socket?.replica.isUp() === true) this.counts.whileThere++
      if (this.isSettled(client)) throw new Violation(`${epoch} shows ${id} offline, whose client is there`)
    }
  }

  told(replica: SimulatedReplica, id: string, reason: string): void {
    const leasedMillis = this.now() - replica.leasedSinceMillis
    if (reason === "abandoned" && leasedMillis < ripeAfterMillis) {
      throw new Violation(`${replica.name} takes ${id} over, ${leasedMillis} ms after its lease began`)
    }
    const index = this.untold.findIndex((edge) => edge.id === id && replica.epochs.has(edge.epoch))
    if (index >= 0) {
      this.untold.splice(index, 1)
      this.counts.told++
      return
    }
    // An end of a row that was offline already is told, and so is a row that memory had taken for online.
    if (reason === "ended" || reason === "outdated") return
    throw new Violation(`${replica.name} tells that ${id} is offline (${reason}), which it did not store`)
  }

  /** What it had stored and not told yet is lost with it. */
  gone(replica: SimulatedReplica): void {
    this.untold = this.untold.filter(({ epoch }) => !replica.epochs.has(epoch))
  }

  /** Called every second. */
  look(): void {
    const { cluster } = this
    if (cluster === undefined) return
    const now = this.now()
    const isRipe = cluster.replicas.some(
      (replica) => replica.isUp() && now - replica.ableSinceMillis >= ripeAfterMillis
    )
    if (!isRipe || cluster.isDatabaseAway) this.unripeMillis = now
    for (const client of cluster.clients) this.demandShown(client)
  }

  private demandShown(client: ReplicaClient): void {
    const { key } = client
    const isActive = this.stage.rows.get(key)?.active === true
    if (client.socket?.replica.isUp() === true) {
      this.counts.sessionSeconds++
      if (!isActive) this.counts.falseSeconds++
    }
    if (this.isSettled(client) && !isActive) {
      throw new Violation(`${key.id} is not online, whose client is at ${client.socket?.replica.name}`)
    }
    if (client.socket !== undefined || client.open.size > 0 || !isActive) return
    const { databaseBackMillis = 0 } = this.cluster ?? {}
    const { lastClosedMillis, lastReplicas } = client
    // It shows nobody offline before its own grace is over; of one that is gone another one does.
    const judgedMillis = lastReplicas.flatMap(({ ableSinceMillis, goneMillis, suspendedMillis }) => [
      goneMillis ?? ableSinceMillis + startGraceMillis,
      suspendedMillis
    ])
    const since = Math.max(lastClosedMillis, ...judgedMillis, databaseBackMillis, this.unripeMillis)
    if (this.now() - since > offlineWithinMillis) {
      throw new Violation(`${key.id} is still online ${this.now() - lastClosedMillis} ms after its client left`)
    }
  }

  /** After a long silence. */
  demandRest(): void {
    for (const { key } of this.cluster?.clients ?? []) {
      if (this.stage.rows.get(key)?.active === true) throw new Violation(`${key.id} stays online for ever`)
    }
    const edge = this.untold.find(({ isHeld }) => !isHeld)
    if (edge !== undefined) throw new Violation(`nobody tells that ${edge.id} is offline, which ${edge.epoch} stored`)
  }
}
