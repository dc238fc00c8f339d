/** One process of the cluster: it boots, stands still, stops and dies, and boots again as another one. */
import { Life } from "contention-lab/VirtualTime"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as HashSet from "effect/HashSet"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Presence from "presence-effect/Presence"
import { PresenceStorage } from "presence-effect/presence/PresenceStorage"
import { Violation } from "../Call.ts"
import { ClusterPresence, type ReplicaStage } from "./ReplicaStage.ts"

export type State = "booting" | "up" | "suspended" | "stopping" | "gone"

export interface ReplicaEvents {
  readonly told: (replica: SimulatedReplica, id: string, reason: string) => void
  /** It has stopped, and tells nothing any more. */
  readonly gone: (replica: SimulatedReplica) => void
}

/** A clock that is wrong. */
const skewed = (clock: Clock.Clock, aheadMillis: number): Clock.Clock => ({
  [Clock.ClockTypeId]: Clock.ClockTypeId,
  unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + aheadMillis,
  unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
  currentTimeMillis: Effect.sync(() => clock.unsafeCurrentTimeMillis() + aheadMillis),
  currentTimeNanos: clock.currentTimeNanos,
  sleep: (duration) => clock.sleep(duration)
})

/** As short as it may be. */
export const startGraceMillis = 15_000

export class SimulatedReplica {
  readonly name: string
  readonly slot: number
  state: State = "booting"
  /** Since when it could do what is asked of it: it started, or stood still until then. */
  ableSinceMillis = 0
  /** When it died or had stopped. */
  goneMillis: number | undefined
  /** When it stood still for the last time. */
  suspendedMillis = 0
  presence: ClusterPresence["Type"] | undefined
  /** The marks of its rows: one for each lease that it has had. */
  readonly epochs = new Set<string>()
  /** When its newest lease began. */
  leasedSinceMillis = 0
  private readonly life: Life
  private readonly runtime: Runtime.Runtime<never>
  private readonly scope = Effect.runSync(Scope.make())
  private readonly stage: ReplicaStage
  private readonly events: ReplicaEvents

  constructor(stage: ReplicaStage, slot: number, bootCount: number, events: ReplicaEvents) {
    this.stage = stage
    this.slot = slot
    this.name = `${"ABC"[slot]}${bootCount}`
    this.life = new Life(stage.time)
    this.runtime = Effect.runSync(
      Effect.runtime<never>().pipe(
        Effect.withClock(skewed(this.life.clock, stage.scenario.skews[slot] ?? 0)),
        Effect.withRandom(Random.make(`${stage.scenario.seed}/${this.name}`)),
        Effect.withTracerEnabled(false),
        Effect.locally(FiberRef.currentLoggers, HashSet.empty())
      )
    )
    stage.trace.note(`${this.name} starts`)
    this.events = events
    this.run(this.boot())
  }

  private boot() {
    return Effect.gen(this, function* () {
      const storage = yield* this.stage.database
        .join()
        .pipe(Effect.retry(Schedule.spaced("1 second")), Scope.extend(this.scope))
      const presence = yield* Presence.make(ClusterPresence.kinds, { startGrace: startGraceMillis }).pipe(
        Effect.provideService(PresenceStorage, storage),
        Scope.extend(this.scope)
      )
      yield* Scope.extend(
        presence.onTransition(({ key, reason }) => this.events.told(this, key.id, reason)),
        this.scope
      )
      this.presence = presence
      const { epoch, onNewLease } = storage.shared.replica
      this.leased(epoch())
      yield* Scope.extend(
        onNewLease(() => this.leased(epoch())),
        this.scope
      )
      this.ableSinceMillis = this.stage.time.elapsedMillis()
      this.state = "up"
      this.stage.trace.note(`${this.name} is up`)
    })
  }

  private run<A, E>(effect: Effect.Effect<A, E>): void {
    Runtime.runFork(this.runtime)(effect, { scheduler: this.life.scheduler }).addObserver((exit) => {
      if (Exit.isFailure(exit)) this.stage.audit(() => this.failed(String(exit.cause)))
    })
  }

  private failed(cause: string): never {
    throw new Violation(`${this.name} failed: ${cause}`)
  }

  private leased(epoch: string): void {
    this.epochs.add(epoch)
    this.leasedSinceMillis = this.stage.time.elapsedMillis()
  }

  isUp(): boolean {
    return this.state === "up"
  }

  /** The session ends, at the moment that its client says. */
  end(index: Parameters<ClusterPresence["Type"]["end"]>[0]): void {
    if (this.presence !== undefined) this.run(this.presence.end(index, this.stage.time.wallMillis()))
  }

  crash(): void {
    this.stage.trace.note(`${this.name} dies`)
    this.state = "gone"
    this.goneMillis = this.stage.time.elapsedMillis()
    this.stage.time.end(this.life)
  }

  suspend(): void {
    this.stage.trace.note(`${this.name} stands still`)
    this.state = "suspended"
    this.suspendedMillis = this.stage.time.elapsedMillis()
    this.stage.time.suspend(this.life)
  }

  resume(): void {
    if (this.state !== "suspended") return
    this.stage.trace.note(`${this.name} goes on`)
    this.state = "up"
    this.ableSinceMillis = this.stage.time.elapsedMillis()
    this.stage.time.resume(this.life)
  }

  /** Its last flush, and the end of its lease. */
  stop(): void {
    this.stage.trace.note(`${this.name} is asked to stop`)
    this.state = "stopping"
    Runtime.runFork(this.runtime)(Scope.close(this.scope, Exit.void), { scheduler: this.life.scheduler }).addObserver(
      () => {
        this.stage.trace.note(`${this.name} has stopped`)
        this.state = "gone"
        this.goneMillis = this.stage.time.elapsedMillis()
        this.events.gone(this)
        this.stage.time.after(0, () => this.stage.time.end(this.life))
      }
    )
  }
}
