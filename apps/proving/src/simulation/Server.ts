/** The process under test: the whole layer over one simulated connection. It starts, stops, dies and starts again. */
import { Life } from "contention-lab/VirtualTime"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as HashSet from "effect/HashSet"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import * as Presence from "presence-effect/Presence"
import { SqliteConnection } from "presence-effect/writer/SqliteConnection"
import { PresenceReader } from "presence-effect/sqlite/SqlitePresenceStorage"
import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
import * as SimulatedConnection from "presence-effect/testing/SimulatedConnection"
import * as WalKeeper from "presence-effect/sqlite/WalKeeper"
import { Violation } from "./Call.ts"
import { Saboteur } from "./Saboteur.ts"
import { SimulatedPresence } from "./PresenceKey.ts"
import type { Stage } from "./Stage.ts"
import { Watch } from "./Watch.ts"

export interface Services {
  readonly presence: SimulatedPresence["Type"]
  readonly writer: SqliteWriter.SqliteWriter["Type"]
  readonly reader: PresenceReader["Type"]
}

/** One process. */
interface Run {
  readonly life: Life
  readonly runtime: Runtime.Runtime<never>
  readonly scope: Scope.CloseableScope
  simulated?: SimulatedConnection.SimulatedConnection
  services?: Services
}

/** The time after which a supervisor starts it again. */
const restartMillis = 200

/** The drain, the longest hold, the last checkpoint, and a little for every fiber's turn. */
export const shutdownLimitMillis = 1_500 + 2_000 + 2_000 + 500

export class Server {
  readonly saboteur: Saboteur
  readonly watch: Watch
  private readonly stage: Stage
  private run: Run | undefined
  private bootCount = 0
  private isLocked = false
  private isPinned = false

  constructor(stage: Stage) {
    this.stage = stage
    this.saboteur = new Saboteur(stage, (how) => (how === "crash" ? this.crash() : this.shutdown()))
    this.watch = new Watch(stage, this.saboteur)
  }

  /** The services of requests, while the server is up and not asked to stop. */
  services(): Services | undefined {
    return this.stage.isStopping ? undefined : this.run?.services
  }

  isUp(): boolean {
    return this.services() !== undefined
  }

  fork<A, E>(effect: Effect.Effect<A, E>): Fiber.RuntimeFiber<A, E> | undefined {
    return this.run === undefined ? undefined : this.forkIn(this.run, effect)
  }

  private forkIn<A, E>({ life, runtime }: Run, effect: Effect.Effect<A, E>): Fiber.RuntimeFiber<A, E> {
    return Runtime.runFork(runtime)(effect, { scheduler: life.scheduler })
  }

  /** What every fiber of one process inherits. Made once, since a request is short. */
  private runtimeOf(life: Life): Runtime.Runtime<never> {
    return Effect.runSync(
      Effect.runtime<never>().pipe(
        Effect.withMaxOpsBeforeYield(this.stage.setting.maxOpsBeforeYield),
        Effect.withClock(life.clock),
        Effect.withRandom(Random.make(`${this.stage.seed}/${this.bootCount}`)),
        Effect.withTracerEnabled(false),
        Effect.locally(FiberRef.currentLoggers, HashSet.make(this.logger)),
        Effect.locally(FiberRef.currentMinimumLogLevel, LogLevel.Info)
      )
    )
  }

  private readonly logger = Logger.make(({ logLevel, message }) =>
    this.stage.trace.note(`log ${logLevel.label}: ${Array.isArray(message) ? String(message[0]) : String(message)}`)
  )

  private readonly reader = PresenceReader.of({
    query: (sql, params) =>
      Effect.zipRight(
        this.stage.setting.readLatency > 0 ? Effect.sleep(this.stage.setting.readLatency) : Effect.void,
        Effect.suspend(() =>
          this.stage.isReaderBroken
            ? Effect.fail("the reader is broken")
            : Effect.sync(() => this.stage.file.query(sql, params))
        )
      )
  })

  private layers(simulated: SimulatedConnection.SimulatedConnection) {
    const { rowCapacity, ...knobs } = this.stage.setting
    const connection = Layer.succeed(SqliteConnection, this.watch.connection(simulated))
    const writer = Layer.provide(this.watch.layer, SqliteWriter.layer(this.stage.policy))
    const presence = Presence.layerSqlite(SimulatedPresence, {
      interval: knobs.interval,
      persistThreshold: knobs.persistThreshold,
      acceptanceWindow: knobs.acceptanceWindow,
      offlineTimeout: knobs.offlineTimeout,
      sweepInterval: knobs.sweepInterval,
      disconnectGrace: knobs.disconnectGrace,
      startGrace: knobs.startGrace,
      drainTimeout: knobs.drainTimeout,
      capacity: rowCapacity,
      chunkRows: knobs.chunkRows
    })
    const keeper = WalKeeper.layer({
      lookInterval: 700,
      checkpointBytes: 8_000,
      checkpointInterval: 3_000,
      idleAfter: 1_000,
      finishBytes: 0
    })
    return Layer.merge(presence, keeper).pipe(
      Layer.provideMerge(writer),
      Layer.provideMerge(Layer.merge(connection, Layer.succeed(PresenceReader, this.reader)))
    )
  }

  boot(): void {
    this.bootCount++
    this.stage.trace.note("the server starts")
    const life = new Life(this.stage.time)
    const run: Run = { life, runtime: this.runtimeOf(life), scope: Effect.runSync(Scope.make()) }
    this.run = run
    const start = Effect.gen(this, function* () {
      const simulated = yield* SimulatedConnection.make({
        latency: this.stage.setting.latency,
        evaluateGroup: (group) => {
          const answers = this.stage.file.run(group)
          this.stage.audit(() => this.stage.rows.committed(this.stage.file.rows()))
          return answers
        }
      })
      run.simulated = simulated
      this.applyOutside()
      const context = yield* Layer.buildWithScope(this.layers(simulated), run.scope)
      const presence = Context.get(context, SimulatedPresence)
      yield* Scope.extend(
        presence.onTransition(({ key, reason }) => {
          this.stage.trace.note(`told: ${key.kind} ${key.id} is offline (${reason})`)
          this.stage.audit(() => this.stage.rows.transition(key, reason))
        }),
        run.scope
      )
      this.stage.rows.booted()
      this.stage.trace.note("the server is up")
      run.services = { presence, writer: Context.get(context, SqliteWriter.SqliteWriter), reader: this.reader }
    })
    this.forkIn(run, start).addObserver((exit) => {
      if (Exit.isSuccess(exit)) return
      this.stage.trace.note("the server does not start")
      this.over(run)
    })
  }

  /** Ends the process in an orderly way. It comes back, unless this is the last end. */
  shutdown({ isLast = false } = {}): void {
    const run = this.run
    if (run?.services === undefined || this.stage.isStopping) return
    const startedAt = this.stage.time.elapsedMillis()
    const pausedBefore = this.stage.totalPausedMillis()
    this.stage.trace.note("the server is asked to stop")
    this.stage.isStopping = true
    this.forkIn(run, Scope.close(run.scope, Exit.void)).addObserver((exit) => {
      const took = this.stage.time.elapsedMillis() - startedAt - (this.stage.totalPausedMillis() - pausedBefore)
      this.stage.trace.note(`the server has stopped after ${took} ms`)
      this.stage.audit(() => {
        if (Exit.isFailure(exit)) throw new Violation(`the shutdown failed: ${String(exit.cause)}`)
        if (took > shutdownLimitMillis) throw new Violation(`the shutdown took ${took} ms`)
      })
      // The last turn of the last fibers still belongs to them.
      this.stage.time.after(0, () => {
        this.stage.audit(() => this.stage.calls.demandNobody())
        if (!isLast) return this.over(run)
        const count = this.stage.time.leftovers(run.life)
        if (count > 0) this.stage.audit(() => this.leftBehind(count))
        this.stage.time.end(run.life)
        this.run = undefined
      })
    })
  }

  private leftBehind(count: number): never {
    throw new Violation(`${count} fibers and timers outlive the shutdown`)
  }

  isGone(): boolean {
    return this.run === undefined
  }

  /** The process dies: nothing of it runs any more. */
  crash(): void {
    if (this.run === undefined) return
    this.stage.trace.note("the server dies")
    this.over(this.run)
  }

  private over(run: Run): void {
    if (this.run !== run) return
    this.stage.time.end(run.life)
    this.stage.calls.processEnded()
    this.run = undefined
    this.stage.isStopping = false
    this.stage.time.after(restartMillis, () => this.boot())
  }

  lock(isLocked: boolean): void {
    this.stage.trace.note(isLocked ? "another process takes the lock" : "the lock is free")
    this.isLocked = isLocked
    this.saboteur.isLocked = isLocked
    this.applyOutside()
  }

  pin(isPinned: boolean): void {
    this.stage.trace.note(isPinned ? "a reader pins the log" : "no reader pins the log")
    this.isPinned = isPinned
    this.applyOutside()
  }

  /** What other processes do to the file outlives ours. */
  private applyOutside(): void {
    const simulated = this.run?.simulated
    if (simulated === undefined) return
    if (this.isLocked) simulated.lock()
    else simulated.unlock()
    if (this.isPinned) simulated.pinReader()
    else simulated.releaseReader()
  }

  /** Everything that is wrong with the box is repaired. */
  repair(): void {
    this.saboteur.disarm()
    this.stage.isReaderBroken = false
    this.lock(false)
    this.pin(false)
    this.run?.simulated?.resume()
    this.run?.simulated?.setLatency(this.stage.setting.latency)
  }
}
