/** One seed, from the first start of the server to its last orderly end. */
import * as Effect from "effect/Effect"
import { Violation } from "./Call.ts"
import { Clients, keys } from "./Clients.ts"
import type { Coverage } from "./Coverage.ts"
import * as Dice from "./Dice.ts"
import * as Scenario from "./Scenario.ts"
import { Server, shutdownLimitMillis } from "./Server.ts"
import type { SimulatedFile } from "./SimulatedFile.ts"
import type { StoredRow } from "./StoredRow.ts"
import { Stage } from "./Stage.ts"

export interface Outcome {
  readonly seed: number
  /** The guarantee that was broken, if one was. */
  readonly violation: string | undefined
  readonly digest: string
  readonly lineCount: number
  readonly elapsedMillis: number
  readonly coverage: Coverage
}

/** Rows that the last process left: online and offline, fresh and long silent, some from a clock that was ahead. */
const leftBehind =
  (seed: number) =>
  (wallMillis: number): ReadonlyArray<StoredRow> => {
    const dice = Dice.make(seed, "rows")
    const clocks = Dice.make(seed, "rows of a clock that was ahead")
    return keys.flatMap((key): ReadonlyArray<StoredRow> => {
      const row = { ...key, isActive: dice.chance(0.6), lastMillis: wallMillis - dice.whole(0, 4) * 4_000 }
      const isAhead = clocks.chance(0.08)
      const lastMillis = isAhead ? wallMillis + clocks.pick([600_000, 7_200_000]) : row.lastMillis
      return dice.chance(0.6) ? [{ ...row, lastMillis }] : []
    })
  }

class Simulation {
  private readonly stage: Stage
  private readonly server: Server
  private readonly clients: Clients
  private readonly scenario: Scenario.Scenario

  constructor(scenario: Scenario.Scenario, file: SimulatedFile, print: ((line: string) => void) | undefined) {
    this.scenario = scenario
    this.stage = new Stage(scenario, file, leftBehind(scenario.seed), print)
    this.server = new Server(this.stage)
    this.clients = new Clients(this.stage, this.server, scenario.skews)
  }

  /** Answers whether it can go on. */
  private runFor(millis: number): boolean {
    const until = this.stage.time.elapsedMillis() + millis
    while (this.stage.violation() === undefined && this.stage.time.elapsedMillis() < until) {
      this.stage.time.runUntil(Math.min(until, this.stage.time.elapsedMillis() + 100))
    }
    return this.stage.violation() === undefined
  }

  private broken(why: string): void {
    this.stage.audit(() => {
      throw new Violation(why)
    })
  }

  private take({ action, ...step }: Scenario.Step): void {
    const { stage } = this
    if (action._tag === "Lock") {
      this.server.lock(true)
      stage.time.after(action.millis, () => this.server.lock(false))
    } else if (action._tag === "ReaderPins") {
      this.server.pin(true)
      stage.time.after(action.millis, () => this.server.pin(false))
    } else if (action._tag === "ReaderFails") {
      stage.isReaderBroken = true
      stage.time.after(action.millis, () => (stage.isReaderBroken = false))
    } else if (action._tag === "Fault") {
      this.server.saboteur.arm(action)
    } else {
      this.clients.perform({ action, ...step })
    }
  }

  outcome(): Outcome {
    const { coverage, seed, time, trace } = this.stage
    return {
      seed,
      violation: this.stage.violation()?.message,
      digest: trace.digest(),
      lineCount: trace.lineCount(),
      elapsedMillis: time.elapsedMillis(),
      coverage
    }
  }

  run(): void {
    this.server.boot()
    for (const step of this.scenario.steps) {
      if (step.atMillis > this.stage.time.elapsedMillis()) {
        this.stage.time.runUntil(step.atMillis)
      }
      if (this.stage.violation() !== undefined) return
      this.take(step)
    }
    if (!this.runFor(this.scenario.endMillis - this.stage.time.elapsedMillis())) return
    if (this.recover() && this.settle() && this.fallSilent()) this.stop()
  }

  /** All is repaired: the server must come back by itself. */
  private recover(): boolean {
    this.stage.trace.note("--- everything is repaired")
    this.server.repair()
    const isTroubled = () => this.stage.time.elapsedMillis() < this.server.saboteur.troubledUntilMillis
    for (let waited = 0; !this.server.isUp() || isTroubled(); waited += 100) {
      if (!this.runFor(100)) return false
      if (waited > 10_000) this.broken("the server does not come back")
    }
    return true
  }

  /** Everything is written one tick later, and every call is answered. */
  private settle(): boolean {
    const { setting } = this.stage
    const tickMillis = setting.interval + 500
    if (!this.runFor(tickMillis)) return false
    this.stage.audit(() => this.stage.rows.settled("one tick after the last fault", tickMillis))
    const presence = this.server.services()?.presence
    this.stage.audit(() => this.stage.rows.demandAgreement((key) => presence?.lastSeen(key)?.isOnline === true))
    if (setting.offlineTimeout === Scenario.longTimeout) {
      if (!this.runFor(setting.startGrace + 2 * setting.sweepInterval + 1_000)) return false
      this.stage.audit(() => this.stage.rows.demandBack())
    }
    // None of them can take longer than its deadline, so this ends.
    while (this.stage.calls.hasOpen()) if (!this.runFor(50)) return false
    this.stage.audit(() => this.stage.calls.demandPromises())
    return this.stage.violation() === undefined
  }

  /** All clients disconnect: no row may stay online, and memory is empty again. */
  private fallSilent(): boolean {
    const { rows, setting } = this.stage
    this.stage.trace.note("--- everybody leaves")
    const presence = this.server.services()?.presence
    for (const key of keys) {
      while (rows.connectionCount(key) > 0) {
        presence?.disconnected(key)
        rows.disconnected(key)
      }
    }
    const quietMillis = setting.startGrace + setting.offlineTimeout + setting.acceptanceWindow
    if (!this.runFor(quietMillis + 2 * (setting.sweepInterval + setting.interval) + 3_000)) return false
    this.stage.audit(() => rows.silent())
    this.demandRest()
    return this.stage.violation() === undefined
  }

  private demandRest(): void {
    const services = this.server.services()
    if (services === undefined) return this.broken("the server went away by itself")
    const { pendingCount, trackedCount } = Effect.runSync(services.presence.status)
    if (pendingCount > 0) this.broken(`${pendingCount} rows wait for ever`)
    if (trackedCount > this.stage.rows.cloudedCount()) this.broken(`memory keeps ${trackedCount} rows for ever`)
    const { holder, lanes } = Effect.runSync(services.writer.status)
    if (holder !== undefined) this.broken(`the lane ${holder.lane} holds the permit for ever`)
    for (const { lane, waiterCount } of lanes)
      if (waiterCount > 0) this.broken(`${waiterCount} wait in the lane ${lane}`)
  }

  /** The last heartbeats before an orderly end are written too. */
  private stop(): void {
    const { stage } = this
    this.stage.trace.note("--- an orderly end")
    keys.forEach((_, row) => {
      this.clients.perform({ atMillis: 0, action: { _tag: "Beat", row, claim: { _tag: "Ago", millis: 0 } } })
    })
    this.server.shutdown({ isLast: true })
    for (let waited = 0; !this.server.isGone(); waited += 100) {
      if (!this.runFor(100)) return
      if (waited > shutdownLimitMillis) return this.broken("the server does not stop")
    }
    stage.audit(() => stage.rows.settled("after an orderly end", 0))
    stage.audit(() => stage.calls.demandPromises())
  }
}

export const run = (seed: number, file: SimulatedFile, print?: (line: string) => void): Outcome => {
  const simulation = new Simulation(Scenario.make(seed), file, print)
  simulation.run()
  return simulation.outcome()
}
