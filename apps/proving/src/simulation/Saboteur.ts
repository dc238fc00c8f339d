/** Keeps each fault until the operation it is meant for holds the permit, and then injects it. */
import * as SqliteFault from "presence-effect/sqlite/SqliteFault"
import type { EngineFault } from "presence-effect/writer/SqliteConnection"
import type { SimulatedConnection } from "presence-effect/testing/SimulatedConnection"
import type { Asker } from "./Call.ts"
import * as Coverage from "./Coverage.ts"
import type { Stage } from "./Stage.ts"

interface Armed {
  readonly fault: Coverage.Fault
  readonly target: Coverage.Operation
  readonly millis: number
}

/** The calls that hold the permit when a fault is injected. */
export interface Victim {
  readonly operation: Coverage.Operation
  readonly asker: Asker | undefined
}

/** The effect of a fault on a call that is not a write. */
export interface Trouble {
  delayMillis: number
  fault: EngineFault | undefined
}

type Fault = Parameters<typeof SqliteFault.make>[0]

const busy: Fault = { code: "SQLITE_BUSY", detail: "simulated", phase: "begin" }
const full: Fault = { code: "SQLITE_FULL", detail: "simulated", phase: "statement" }
const ioBefore: Fault = { code: "SQLITE_IOERR_WRITE", detail: "simulated", phase: "statement" }
const ioAfter: Fault = { code: "SQLITE_IOERR_FSYNC", detail: "simulated", phase: "commit" }
const deathIdle: Fault = { code: "LOST", detail: "simulated", phase: "queued" }
const death: Fault = { code: "LOST", detail: "simulated", phase: "commit" }

const engineOnly: ReadonlySet<Coverage.Fault> = new Set([
  "busy",
  "full",
  "io-before",
  "io-after",
  "death-before",
  "death-after",
  "death-idle",
  "stall",
  "slow"
])

/** Counted where they are observed, since they also occur by themselves. */
const seenElsewhere: ReadonlySet<Coverage.Fault> = new Set(["busy", "interruption"])

export class Saboteur {
  private readonly stage: Stage
  private readonly stop: (how: "shutdown" | "crash") => void
  /** The end of the last fault that was injected. */
  troubledUntilMillis = 0
  /** Another process holds the lock: no write reaches the engine's own faults. */
  isLocked = false
  private armed: Array<Armed> = []

  constructor(stage: Stage, stop: (how: "shutdown" | "crash") => void) {
    this.stage = stage
    this.stop = stop
  }

  arm(armed: Armed): void {
    this.armed.push(armed)
  }

  disarm(): void {
    this.armed = []
  }

  /** The victims hold the permit now. `engine`: what runs their writes, if they are writes. */
  meet(victims: ReadonlyArray<Victim>, engine?: SimulatedConnection): Trouble {
    const trouble: Trouble = { delayMillis: 0, fault: undefined }
    const isMet = ({ fault, target }: Armed) =>
      victims.some(({ operation }) => operation === target) && !(this.isLocked && engineOnly.has(fault))
    const met = this.armed.filter(isMet)
    if (met.length === 0) return trouble
    this.armed = this.armed.filter((armed) => !isMet(armed))
    for (const armed of met) {
      this.stage.trace.note(`fault: ${armed.fault} meets ${victims.map(({ operation }) => operation).join(", ")}`)
      if (!seenElsewhere.has(armed.fault)) {
        for (const { operation } of victims) Coverage.note(this.stage.coverage, armed.fault, operation)
      }
      this.strike(armed, victims, trouble, engine)
    }
    const pauses = met.reduce((sum, { fault, millis }) => sum + (fault === "pause" ? millis : 0), 0)
    const lastsMillis = trouble.delayMillis + pauses + this.stage.setting.latency
    this.troubledUntilMillis = Math.max(this.troubledUntilMillis, this.stage.time.elapsedMillis() + lastsMillis)
    return trouble
  }

  private strike(
    { fault, millis }: Armed,
    victims: ReadonlyArray<Victim>,
    trouble: Trouble,
    engine: SimulatedConnection | undefined
  ): void {
    const { setting, time } = this.stage
    /** In the middle of a call, however short it is. */
    const soon = (action: () => void) => time.after(setting.latency / 2, action)
    const fail = (given: Fault, options?: { readonly isCommitted: boolean }) => {
      if (engine === undefined) trouble.fault = SqliteFault.make(given)
      else engine.failNext(given, options)
    }
    switch (fault) {
      case "busy":
        return fail(busy)
      case "full":
        return fail(full)
      case "io-before":
        return fail(ioBefore)
      case "io-after":
        return fail(ioAfter, { isCommitted: true })
      case "death-idle":
        return fail(deathIdle)
      case "death-before":
        return fail(death)
      case "death-after":
        return fail(death, { isCommitted: true })
      case "stall":
        trouble.delayMillis += millis
        this.stage.stalls(millis)
        engine?.stall()
        if (engine !== undefined) time.after(millis, engine.resume)
        return undefined
      case "slow":
        trouble.delayMillis += setting.latency * 4
        return engine?.setLatency(setting.latency * 5)
      case "clock-back":
      case "clock-ahead":
        soon(() => this.stage.setClock(fault === "clock-back" ? -millis : millis))
        return undefined
      case "pause":
        soon(() => this.stage.pause(millis))
        return undefined
      case "shutdown":
      case "crash":
        soon(() => this.stop(fault))
        return undefined
      case "interruption":
        for (const { asker } of victims) if (asker !== undefined) soon(asker.hangUp)
        return undefined
    }
  }
}
