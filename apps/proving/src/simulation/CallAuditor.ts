/**
 * Checks the guarantees of the writer from outside, using only what callers and the engine see: which calls were made,
 * which held the permit, what is in the file, and which answers were given.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type { Lane } from "presence-effect/writer/Lane"
import { isWriterError, type WriterError } from "presence-effect/writer/WriterError"
import type { ResolvedPolicy } from "presence-effect/writer/WriterPolicy"
import { type Call, show, Violation } from "./Call.ts"
import type { Operation } from "./Coverage.ts"

/** What the auditor may read. */
export interface Scene {
  readonly elapsedMillis: () => number
  /** How long the process has been suspended so far. */
  readonly pausedMillis: () => number
  readonly appliedCount: (mark: string) => number
  /** The server was asked to stop. */
  readonly isStopping: () => boolean
}

/** Rounding of timers that count in nanoseconds. */
const slackMillis = 1

/** Turns that lower lanes may take from each other once one of them is overdue. */
const overdueTurns = 8

const conflicting: ReadonlySet<Operation> = new Set(["register", "remove", "message", "rename"])

const codesOf: { readonly [tag: string]: RegExp } = {
  DatabaseBusy: /^SQLITE_BUSY/,
  DatabaseFull: /^SQLITE_FULL/,
  DatabaseIo: /^SQLITE_IOERR/,
  ConnectionLost: /^LOST queued/
}

export class CallAuditor {
  private readonly scene: Scene
  private readonly policy: ResolvedPolicy
  private readonly open = new Set<Call>()
  /** The possible results of each requested write in the file. */
  private readonly allowed = new Map<string, { readonly least: 0 | 1; readonly most: 0 | 1 }>()
  private readonly crowds = new Map<Lane, { readonly atMillis: number; readonly count: number }>()
  private holders: ReadonlyArray<Call> = []

  constructor(scene: Scene, policy: ResolvedPolicy) {
    this.scene = scene
    this.policy = policy
  }

  private terms(lane: Lane) {
    const found = this.policy.lanes.find((terms) => terms.lane === lane)
    if (found === undefined) throw new Violation(`there is no lane ${lane}`)
    return found
  }

  called(call: Call): void {
    this.open.add(call)
    this.crowd(call.lane)
    if (call.mark !== undefined) this.allowed.set(call.mark, { least: 0, most: 1 })
  }

  /** A call begins to hold the permit. */
  held(calls: ReadonlyArray<Call>): void {
    if (this.holders.length > 0) {
      throw new Violation(`two hold the permit at once: ${this.holders.map(show)} and ${calls.map(show)}`)
    }
    this.holders = calls
    const lanes = new Set(calls.map(({ lane }) => lane))
    for (const call of calls) {
      if (!call.isOpen && call.holdCount > 0) throw new Violation(`${show(call)} runs after it was answered`)
      call.holdCount++
      call.holdsSinceMillis = this.scene.elapsedMillis()
    }
    for (const call of this.open) {
      if (lanes.has(call.lane)) call.passedOver = 0
      else if (call.holdCount === 0) this.passOver(call)
    }
  }

  private passOver(call: Call): void {
    call.passedOver++
    if (call.passedOver > this.policy.bypassLimit + overdueTurns) {
      throw new Violation(`${show(call)} starves: ${call.passedOver} grants passed over it`)
    }
  }

  /** The permit is released. `code`: how the engine refused the whole group. */
  released(calls: ReadonlyArray<Call>, code?: string): void {
    this.holders = []
    const untilMillis = this.scene.elapsedMillis()
    for (const call of calls) {
      if (call.holdsSinceMillis !== undefined) call.lastHold = { sinceMillis: call.holdsSinceMillis, untilMillis }
      call.holdsSinceMillis = undefined
      if (code !== undefined) call.codes.add(code)
    }
  }

  hungUp(call: Call): void {
    call.hungUpAtMillis = this.scene.elapsedMillis() - this.scene.pausedMillis()
  }

  answered(call: Call, exit: Exit.Exit<unknown, unknown>): void {
    this.open.delete(call)
    call.isOpen = false
    this.demandInTime(call, "answered")
    if (Exit.isSuccess(exit)) return this.promise(call, 1, 1)
    if (Cause.isInterrupted(exit.cause)) {
      const left = call.hungUpAtMillis
      if (left !== undefined && this.scene.elapsedMillis() - this.scene.pausedMillis() - left > slackMillis) {
        throw new Violation(`${show(call)} was not let go when its caller left`)
      }
      return
    }
    const failure = Cause.failureOption(exit.cause)
    if (failure._tag === "None") throw new Violation(`${show(call)} died: ${Cause.pretty(exit.cause)}`)
    if (!isWriterError(failure.value)) return
    this.demandTruth(call, failure.value)
    if (failure.value.written === "everything") throw new Violation(`${show(call)} could not read its own rows`)
    if (failure.value.written === "nothing") this.promise(call, 0, 0)
  }

  /** From now on the write with this mark is in the file this often, for good. */
  private promise(call: Call, least: 0 | 1, most: 0 | 1): void {
    if (call.mark === undefined) return
    this.allowed.set(call.mark, { least, most })
    this.demandLedger(call.mark)
  }

  private demandLedger(mark: string): void {
    const count = this.scene.appliedCount(mark)
    const { least, most } = this.allowed.get(mark) ?? { least: 0, most: 1 }
    if (count < least) throw new Violation(`${mark} was acknowledged and is not in the file`)
    if (count > 1) throw new Violation(`${mark} was applied ${count} times`)
    if (count > most) throw new Violation(`${mark} failed with nothing written, and is in the file`)
  }

  private demandInTime(call: Call, what: string): void {
    const now = this.scene.elapsedMillis()
    const paused = this.scene.pausedMillis() - call.pausedBeforeMillis
    const took = now - call.calledAtMillis
    const { deadlineMillis } = this.terms(call.lane)
    if (took > deadlineMillis + paused + slackMillis) {
      throw new Violation(`${show(call)} is not ${what} within ${deadlineMillis} ms, but took ${took} ms`)
    }
  }

  /** A failure must match what really happened to the call. */
  private demandTruth(call: Call, failure: WriterError): void {
    const lie = (why: string) => new Violation(`${show(call)} failed with "${failure.message}", but ${why}`)
    const pattern = codesOf[failure._tag]
    if (pattern !== undefined && ![...call.codes].some((code) => pattern.test(code))) {
      throw lie(`the engine answered ${[...call.codes].join(", ") || "nothing"}`)
    }
    const { capacity, holdLimitMillis } = this.terms(call.lane)
    const isHolding = call.holdsSinceMillis !== undefined
    if (failure._tag === "LaneOverflow" && this.crowd(call.lane) < capacity) {
      throw lie(`only ${this.crowd(call.lane)} wait`)
    }
    if (failure._tag === "PermitTimeout" && isHolding) throw lie("it holds the permit")
    if (failure._tag === "WriterClosed" && !this.scene.isStopping()) throw lie("the server is not stopping")
    if (failure._tag === "WriteConflict" && !conflicting.has(call.operation)) throw lie("it conflicts with nothing")
    if (failure._tag !== "WriteUnconfirmed") return
    if (failure.reason === "closed" && !this.scene.isStopping()) throw lie("the server is not stopping")
    if (failure.reason === "connection-lost" && ![...call.codes].some((code) => code.startsWith("LOST"))) {
      throw lie("no thread died")
    }
    if (failure.reason !== "hold-limit") return
    const heldMillis = this.heldMillis(call)
    if (heldMillis < holdLimitMillis - slackMillis) throw lie(`it has held the permit for ${heldMillis} ms`)
  }

  /** How long it has held the permit, also when it released it at this very instant. */
  private heldMillis({ holdsSinceMillis, lastHold }: Call): number {
    const now = this.scene.elapsedMillis()
    if (holdsSinceMillis !== undefined) return now - holdsSinceMillis
    return lastHold?.untilMillis === now ? now - lastHold.sinceMillis : 0
  }

  /** The most callers of the lane that waited together at this instant. */
  private crowd(lane: Lane): number {
    let count = 0
    for (const call of this.open) if (call.lane === lane && call.holdsSinceMillis === undefined) count++
    const now = this.scene.elapsedMillis()
    const before = this.crowds.get(lane)
    const most = before?.atMillis === now ? Math.max(before.count, count) : count
    this.crowds.set(lane, { atMillis: now, count: most })
    return most
  }

  /** Called whenever all fibers wait: no caller is forgotten, and no queue exceeds its limit. */
  quiet(): void {
    const queued = new Map<Lane, number>()
    for (const call of this.open) {
      this.demandInTime(call, "answered")
      if (call.holdCount === 0) queued.set(call.lane, (queued.get(call.lane) ?? 0) + 1)
    }
    for (const [lane, count] of queued) {
      const { capacity } = this.terms(lane)
      if (count > capacity) throw new Violation(`${count} wait in the lane ${lane}, which holds ${capacity}`)
    }
  }

  /** The process died: outstanding calls will not be answered. */
  processEnded(): void {
    for (const call of this.open) call.isOpen = false
    this.open.clear()
    this.holders = []
  }

  hasOpen(): boolean {
    return this.open.size > 0
  }

  /**
   * The writer has closed: no call waits for the permit or for the engine. A call that pauses between two attempts may.
   */
  demandNobody(): void {
    const waiting = [...this.open].filter(
      ({ holdCount, holdsSinceMillis }) => holdCount === 0 || holdsSinceMillis !== undefined
    )
    if (waiting.length > 0) throw new Violation(`${waiting.map(show).join(", ")} still waits`)
  }

  /** Acknowledged writes are in the file, and none twice. */
  demandPromises(): void {
    for (const mark of this.allowed.keys()) this.demandLedger(mark)
  }
}
