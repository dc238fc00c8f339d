/**
 * The clients: each has a session, keeps a connection to one of the replicas, moves, leaves and comes back. A
 * connection may be half open: the client has left, and its replica finds out up to a minute later.
 */
import * as Dice from "../Dice.ts"
import { keyOf, type ReplicaStage, type SessionKey } from "./ReplicaStage.ts"
import type { SimulatedReplica } from "./SimulatedReplica.ts"

const second = 1_000

/** The replicas that a client can choose from. */
interface ClientCluster {
  readonly replicas: ReadonlyArray<SimulatedReplica>
}

/** A connection as its replica has it. */
export interface Socket {
  readonly replica: SimulatedReplica
  readonly openedAtMillis: number
}

export class ReplicaClient {
  readonly key: SessionKey
  /** The connection of a client that is there. */
  socket: Socket | undefined
  /** Connections that replicas still have, half-open ones too. */
  readonly open = new Set<Socket>()
  /** When the last of them was gone. */
  lastClosedMillis = 0
  /** The replicas that had the last connections, one of which may still have to write so. */
  lastReplicas: ReadonlyArray<SimulatedReplica> = []
  private readonly dice: Dice.Dice
  private readonly stage: ReplicaStage
  private readonly cluster: ClientCluster
  private readonly isQuiet: boolean
  private isGoneForGood = false
  /** Raised by each connection, so that what was planned for an earlier one does not happen. */
  private turn = 0

  constructor(stage: ReplicaStage, cluster: ClientCluster, index: number) {
    this.key = keyOf(index)
    this.stage = stage
    this.cluster = cluster
    this.dice = Dice.make(stage.scenario.seed, `client ${index}`)
    this.isQuiet = this.dice.chance(0.3)
    this.comeBackIn(this.dice.whole(0, 20) * second)
  }

  private after(millis: number, act: () => void): void {
    const { turn } = this
    this.stage.time.after(millis, () => {
      if (this.turn === turn) act()
    })
  }

  private comeBackIn(millis: number): void {
    this.turn++
    this.after(millis, () => this.connect())
  }

  private connect(): void {
    if (this.isGoneForGood) return
    const up = this.cluster.replicas.filter((replica) => replica.isUp())
    const replica = up[this.dice.whole(0, Math.max(0, up.length - 1))]
    if (replica?.presence === undefined) return this.comeBackIn(second)
    const socket = { replica, openedAtMillis: this.stage.time.elapsedMillis() }
    this.stage.trace.note(`${this.key.id} connects to ${replica.name}`)
    this.socket = socket
    this.open.add(socket)
    replica.presence.connected(this.key)
    replica.presence.beat(this.key, this.stage.time.wallMillis())
    this.turn++
    this.after(this.dice.whole(3, 150) * second, () => this.act())
    if (!this.isQuiet) this.beatLater()
  }

  private beatLater(): void {
    this.after(this.dice.whole(2, 20) * second, () => {
      // What is sent to a process that stands still is read later; the connection proves no more than that it is there.
      if (this.socket?.replica.isUp() === true) {
        this.socket.replica.presence?.beat(this.key, this.stage.time.wallMillis())
      }
      this.beatLater()
    })
  }

  private act(): void {
    const kind = this.dice.next()
    const soon = this.dice.whole(1, 50) * 100
    const late = this.dice.whole(60, 150) * second
    if (kind < 0.4) this.leave(this.dice.whole(5, 60) * second, soon)
    else if (kind < 0.6) this.leave(10, soon)
    else if (kind < 0.75) this.leave(10, late)
    else if (kind < 0.9) this.leave(this.dice.whole(5, 60) * second, late)
    else this.end(late)
  }

  /** The replica notices `noticeMillis` later. */
  private leave(noticeMillis: number, backMillis: number): void {
    const { socket } = this
    if (socket === undefined) return
    this.stage.trace.note(`${this.key.id} leaves ${socket.replica.name}, noticed after ${noticeMillis} ms`)
    this.socket = undefined
    this.stage.time.after(noticeMillis, () => this.close(socket))
    this.comeBackIn(backMillis)
  }

  /** Through any replica: the request need not go where the connection is. */
  private end(backMillis: number): void {
    const up = this.cluster.replicas.filter((replica) => replica.isUp())
    const replica = up[this.dice.whole(0, Math.max(0, up.length - 1))]
    this.stage.trace.note(`${this.key.id} ends at ${replica?.name ?? "no replica"}`)
    replica?.end(this.key)
    this.leave(10, backMillis)
  }

  /** The replica finds that the client is gone. One that stands still finds out when it goes on. */
  private close(socket: Socket): void {
    if (!this.open.has(socket)) return
    const { replica } = socket
    if (replica.state === "suspended") {
      this.stage.time.after(second, () => this.close(socket))
      return
    }
    this.forget(socket)
    if (replica.isUp()) replica.presence?.disconnected(this.key)
  }

  private forget(socket: Socket): void {
    this.open.delete(socket)
    this.lastReplicas = [...this.lastReplicas.slice(-2), socket.replica]
    this.lastClosedMillis = this.stage.time.elapsedMillis()
  }

  /** The process is gone, and with it its connections; the client notices some time later. */
  died(replica: SimulatedReplica, noticeMillis: number): void {
    for (const socket of this.open) if (socket.replica === replica) this.forget(socket)
    if (this.socket?.replica !== replica) return
    this.socket = undefined
    this.comeBackIn(noticeMillis + this.dice.whole(2, 50) * 100)
  }

  /** Half of the clients of a process that stands still give up and go elsewhere. */
  stalled(replica: SimulatedReplica): void {
    if (this.socket?.replica !== replica || this.dice.chance(0.5)) return
    this.after(this.dice.whole(10, 45) * second, () => {
      if (this.socket?.replica === replica && replica.state === "suspended") {
        this.leave(this.dice.whole(1, 60) * second, this.dice.whole(1, 50) * 100)
      }
    })
  }

  /** The server closes its connections before its last flush. */
  dismissed(replica: SimulatedReplica): void {
    for (const socket of this.open) {
      if (socket.replica !== replica) continue
      replica.presence?.disconnected(this.key)
    }
    this.died(replica, 0)
  }

  leaveForGood(): void {
    this.isGoneForGood = true
    this.leave(10, 0)
  }
}
