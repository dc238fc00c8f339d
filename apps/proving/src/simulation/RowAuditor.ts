/**
 * Checks the guarantees of presence, row by row: a model of what was reported, and every state of the file.
 *
 * The model is deliberately simple. Where a clock that was set back, a deletion or a full registry makes it unsure, it
 * decides in favour of the server: it has lower bounds, and reports only what is certain.
 */
import type { BeatOutcome } from "presence-effect/presence/Heartbeat"
import type { PresenceKey, Transition } from "./PresenceKey.ts"
import { Violation } from "./Call.ts"
import * as FinalRows from "./FinalRows.ts"
import type { Setting } from "./Scenario.ts"
import { nameOf, show, type StoredRow } from "./StoredRow.ts"
import * as Underway from "./Underway.ts"
import { acceptedTime, nothingTold, provenUntil, stepBack, type Told } from "./Told.ts"

interface Scene extends Underway.Trouble {
  readonly wallMillis: () => number
  readonly elapsedMillis: () => number
}

/** A time this far ahead may have been written while a flush waited: the longest deadline of a lane, and a little. */
const aheadMillis = 4_000

export class RowAuditor {
  private readonly scene: Scene
  private readonly setting: Setting
  private readonly told = new Map<string, Told>()
  private readonly stored = new Map<string, StoredRow>()
  /** The latest time that was ever reported. */
  private readonly reported = new Map<string, number>()
  private readonly births = new Set<string>()
  private readonly chunkCount: number
  private bootedAtElapsed = 0
  private bootedAt = Number.NEGATIVE_INFINITY
  /** Rows that were not reported to this process, and that it could sweep when the clock was set. */
  private readonly judgeableBefore = new Map<string, number>()
  private clockSetAtElapsed = Number.NEGATIVE_INFINITY
  private isClockTrusted = true

  constructor(scene: Scene, setting: Setting, rows: ReadonlyArray<StoredRow>) {
    this.scene = scene
    this.setting = setting
    this.chunkCount = setting.chunkRows < rows.length ? 2 : 1
    for (const row of rows) this.appeared(row)
  }

  private appeared(row: StoredRow): void {
    this.stored.set(nameOf(row), row)
    this.report(row, row.lastMillis)
  }

  /** A client requests the creation of such a row, with this time. */
  registers(key: PresenceKey, at: number): void {
    this.births.add(`${nameOf(key)}@${at}`)
  }

  private report(key: PresenceKey, at: number): void {
    this.reported.set(nameOf(key), Math.max(this.reported.get(nameOf(key)) ?? 0, at))
  }

  private toldOf(key: PresenceKey): Told {
    const found = this.told.get(nameOf(key))
    if (found !== undefined) return found
    const fresh = nothingTold()
    this.told.set(nameOf(key), fresh)
    return fresh
  }

  booted(): void {
    this.told.clear()
    this.judgeableBefore.clear()
    this.bootedAtElapsed = this.scene.elapsedMillis()
    this.bootedAt = this.scene.wallMillis()
    this.isClockTrusted = true
  }

  /** Asked before the clock is set. */
  clockIsSet(byMillis: number): void {
    this.isClockTrusted = false
    this.clockSetAtElapsed = this.scene.elapsedMillis()
    const now = this.scene.wallMillis() + byMillis
    for (const [name, stored] of this.stored) {
      const isJudgeable = this.isJudgeable(this.told.get(name) ?? nothingTold(), stored)
      if (isJudgeable) this.judgeableBefore.set(name, this.scene.elapsedMillis())
    }
    for (const row of this.told.values()) {
      if (this.isJudgeable(row)) row.judgeableAtElapsed = this.scene.elapsedMillis()
      if (byMillis >= 0) continue
      if (row.isEnded && this.isForgotten(row)) row.isEnded = false
      stepBack(row, this.scene.wallMillis(), now)
    }
  }

  /** The row may be shown offline now, after all that was reported. */
  private isJudgeable(row: Told, stored?: StoredRow): boolean {
    const now = this.scene.wallMillis()
    if (row.isEnded) return true
    if (row.connections > 0) return false
    if (row.droppedAt !== undefined && now - row.droppedAt >= this.setting.disconnectGrace) return true
    const newest = row.arrivedAt ?? stored?.lastMillis ?? Number.NEGATIVE_INFINITY
    if (now - newest > this.setting.offlineTimeout) return true
    if (stored === undefined || row.arrivedAt !== undefined) return false
    // A process that was started since does not have the row. A time stored so far ahead is not usable, and once
    // the grace after the start is over, the row has not come back.
    const isAhead = stored.lastMillis > now + this.setting.acceptanceWindow
    // A clock that is set forward by less than a pause takes as much of the grace.
    const sinceBoot = Math.max(this.scene.elapsedMillis() - this.bootedAtElapsed, now - this.bootedAt)
    const isGraceOver = sinceBoot >= this.setting.startGrace
    return isAhead || (isGraceOver && stored.lastMillis < this.bootedAt)
  }

  /** The end is so long ago that it need not be remembered. */
  private isForgotten(row: Told): boolean {
    return this.scene.wallMillis() - row.endedAt > this.setting.acceptanceWindow
  }

  beat(key: PresenceKey, claimed: number, outcome: BeatOutcome): void {
    const row = this.toldOf(key)
    // A row that was deleted meanwhile may have taken the count of its connections with it.
    if (row.isClouded && outcome === "ancient") return
    const window = row.connections > 0 ? Number.POSITIVE_INFINITY : this.setting.acceptanceWindow
    const at = acceptedTime(claimed, this.scene.wallMillis(), window)
    if (typeof at === "number") return this.sign(key, at, claimed, outcome)
    if (outcome !== at) throw new Violation(`${nameOf(key)}: a beat from ${claimed} is ${outcome}, not ${at}`)
  }

  connected(key: PresenceKey, outcome: BeatOutcome): void {
    const row = this.toldOf(key)
    if (this.isJudgeable(row, this.stored.get(nameOf(key)))) row.judgeableAtElapsed = this.scene.elapsedMillis()
    this.sign(key, this.scene.wallMillis(), undefined, outcome)
    row.droppedAt = undefined
    if (outcome === "full" || outcome === "foreign") return
    row.connections++
  }

  /** Its own connection sent something other than a heartbeat. */
  seen(key: PresenceKey, outcome: BeatOutcome): void {
    this.sign(key, this.scene.wallMillis(), undefined, outcome)
  }

  private sign(key: PresenceKey, accepted: number, claimed: number | undefined, outcome: BeatOutcome): void {
    const row = this.toldOf(key)
    const now = this.scene.wallMillis()
    const isOld = row.sign !== undefined && accepted <= row.sign
    const at = isOld && row.connections > 0 ? now : accepted
    const what = `${nameOf(key)}: a sign of life from ${at} is "${outcome}"`
    if (this.isJudgeable(row, this.stored.get(nameOf(key)))) row.judgeableAtElapsed = this.scene.elapsedMillis()
    if (outcome === "invalid" || outcome === "ancient") throw new Violation(`${what}, though it is neither`)
    if (outcome === "full" || outcome === "foreign") return this.turnedAway(row, what, outcome)
    if (outcome === "ended") return this.demandReason(row, what, at, claimed, this.stored.get(nameOf(key)))
    if (row.isEnded && !this.isForgotten(row) && !row.isClouded && !((claimed ?? -1) > row.endClaim)) {
      throw new Violation(`${what}, and claims ${claimed}, though it ended at ${row.endClaim}: an ended row came back`)
    }
    this.demandNewerThanFile(row, what, at, this.stored.get(nameOf(key)))
    const isCertain = this.isClockTrusted && !row.isClouded && row.sign !== undefined
    if (outcome === "online" && isCertain && row.judgeableAtElapsed < this.scene.elapsedMillis()) {
      throw new Violation(`${what}, though it was online all the time: memory lost it`)
    }
    row.sign = outcome === "online" ? at : Math.max(row.sign ?? at, at)
    row.onlineAt = Math.max(row.onlineAt, at)
    row.arrivedAt = now
    row.highest = Math.max(row.highest, at)
    row.claimed = Math.max(row.claimed, claimed ?? row.claimed)
    row.isEnded = false
    row.droppedAt = undefined
    this.report(key, Math.max(at, now))
  }

  /** The row ended, and what the file has of it is newer. The row may not have been in memory then. */
  private demandNewerThanFile(row: Told, what: string, at: number, stored?: StoredRow): void {
    if (!row.isEnded || row.isClouded || row.connections > 0 || !this.isClockTrusted) return
    if (stored === undefined || this.isForgotten(row) || at > stored.lastMillis) return
    // The row in memory may be older than the file only if this process never showed it online so late.
    if (row.sign !== undefined && stored.lastMillis > row.onlineAt) return
    // A clock that was ahead left it there.
    if (stored.lastMillis > this.scene.wallMillis()) return
    throw new Violation(`${what}, though it ended and was last seen at ${stored.lastMillis}: an ended row came back`)
  }

  /** A sign of life was refused because of an end. */
  private demandReason(row: Told, what: string, at: number, claimed: number | undefined, stored?: StoredRow): void {
    if (row.isClouded) return
    const isKnown = stored !== undefined && !stored.isActive && at <= stored.lastMillis
    if (claimed === undefined) {
      // While the clock was ahead an end may or may not have been forgotten.
      const mayBeEnded = row.isEnded || (row.wasEnded && !this.isClockTrusted)
      if (!mayBeEnded && !isKnown && at > row.highest) throw new Violation(`${what}, though it did not end`)
      return
    }
    const isNewer = at > row.highest && claimed > Math.max(row.claimed, row.endClaim)
    if (isNewer && !isKnown) throw new Violation(`${what}, though nothing newer is known`)
    if (row.connections > 0 && this.isForgotten(row) && at > row.highest && !isKnown && this.isClockTrusted) {
      throw new Violation(`${what}, though it is connected and ended long ago: its clock refuses it`)
    }
  }

  private turnedAway(row: Told, what: string, outcome: "full" | "foreign"): void {
    if (outcome === "foreign" && !row.isClouded) throw new Violation(`${what}, though no other account ever used it`)
    if (outcome === "full" && this.told.size < this.setting.rowCapacity) {
      throw new Violation(`${what}, though only ${this.told.size} rows were ever reported`)
    }
  }

  disconnected(key: PresenceKey): void {
    const row = this.toldOf(key)
    if (row.connections === 0) return
    row.connections--
    if (row.connections > 0) return
    row.droppedAt = this.scene.wallMillis()
    if (!row.isEnded) row.onlineAt = Math.max(row.onlineAt, row.droppedAt)
    if (row.arrivedAt !== undefined) row.arrivedAt = row.droppedAt
    row.highest = Math.max(row.highest, row.droppedAt)
    this.report(key, row.droppedAt)
  }

  /** The end of a row is reported to the layer now. */
  ended(key: PresenceKey, claimed: number): void {
    const row = this.toldOf(key)
    const accepted = acceptedTime(claimed, this.scene.wallMillis(), this.setting.acceptanceWindow)
    const at = accepted === "ancient" ? Math.floor(claimed) : accepted === "invalid" ? undefined : accepted
    row.judgeableAtElapsed = this.scene.elapsedMillis()
    row.wasEnded = true
    const fence = Math.max(
      row.sign ?? Number.NEGATIVE_INFINITY,
      at ?? (row.sign === undefined ? this.scene.wallMillis() : 0)
    )
    row.highest = Math.max(row.highest, fence)
    // What is offline, in the file too, need not be in memory.
    const isOffline = row.connections === 0 && this.stored.get(nameOf(key))?.isActive === false
    const isInMemory = row.sign !== undefined && !isOffline
    row.claimed = Math.max(row.claimed, at === undefined || !isInMemory ? this.scene.wallMillis() : 0)
    if (at !== undefined) row.claimed = Math.max(row.claimed, claimed)
    this.report(key, Math.max(0, fence))
    this.report(key, at ?? this.scene.wallMillis())
    if (row.isClouded) return
    row.isEnded = true
    row.endedAt = this.scene.wallMillis()
    row.endClaim = at === undefined ? row.endedAt : claimed
    row.droppedAt = undefined
  }

  forgotten(key: PresenceKey): void {
    const row = this.toldOf(key)
    this.told.delete(nameOf(key))
    if (row.isClouded) this.cloud(key)
  }

  /** Nothing certain is known of the row until this process ends. */
  cloud(key: PresenceKey): void {
    this.toldOf(key).isClouded = true
  }

  /** A commit has stored this state. */
  committed(rows: ReadonlyArray<StoredRow>): void {
    const seen = new Set<string>()
    for (const row of rows) {
      const name = nameOf(row)
      seen.add(name)
      const before = this.stored.get(name)
      if (before === undefined) {
        this.appeared(row)
        continue
      }
      if (before.isActive === row.isActive && before.lastMillis === row.lastMillis) continue
      if (this.births.has(`${name}@${row.lastMillis}`)) {
        // Deleted and registered again in one commit.
        this.appeared(row)
        this.cloud(row)
        continue
      }
      this.demandLawful(before, row)
      this.stored.set(name, row)
    }
    for (const [name, row] of this.stored) {
      if (seen.has(name)) continue
      this.stored.delete(name)
      if (this.told.has(name)) this.cloud(row)
    }
  }

  private demandLawful(before: StoredRow, after: StoredRow): void {
    const name = nameOf(after)
    const change = `${name} went from ${show(before)} to ${show(after)}`
    const isHealed = before.lastMillis > this.scene.wallMillis() || this.wasClockSet()
    if (after.lastMillis < before.lastMillis && !isHealed) throw new Violation(`${change}: backwards`)
    if (after.lastMillis > (this.reported.get(name) ?? 0) && !this.isProvenByConnection(after)) {
      throw new Violation(`${change}: that time was never reported`)
    }
    if (!before.isActive && after.isActive) {
      const isFuture = before.lastMillis > this.scene.wallMillis() || this.wasClockSet()
      if (after.lastMillis <= before.lastMillis && !isFuture) throw new Violation(`${change}: an ended row came back`)
    }
    if (before.isActive && !after.isActive) this.demandJudgeable(after, change)
  }

  /**
   * After the clock was set back, all that a row did over its open connection may be older than its stored end. The
   * open connection dates the row then, also if the clock is set back once more before that is written.
   */
  private isProvenByConnection(after: StoredRow): boolean {
    const row = this.told.get(nameOf(after))
    if (row === undefined || this.isClockTrusted || !after.isActive) return false
    return after.lastMillis <= provenUntil(row, this.scene.wallMillis())
  }

  /** While the current commit may have been under way. */
  private wasClockSet(): boolean {
    return this.mayBeUnderWay(this.clockSetAtElapsed)
  }

  /** The content of the current commit may have been taken as early as that. */
  private mayBeUnderWay(takenAtElapsed: number): boolean {
    return this.scene.elapsedMillis() - takenAtElapsed <= Underway.limitMillis(this.chunkCount, this.scene)
  }

  private demandJudgeable(after: StoredRow, change: string): void {
    const row = this.told.get(nameOf(after)) ?? nothingTold()
    // For a row that was not reported to it, the server had the stored time, by the clock of then.
    if (row.isClouded || (row.sign === undefined && this.wasClockSet())) return
    const elapsed = this.scene.elapsedMillis()
    const judgeableAt = Math.max(row.judgeableAtElapsed, this.judgeableBefore.get(nameOf(after)) ?? -Infinity)
    if (!this.mayBeUnderWay(judgeableAt) && !this.isJudgeable(row, after)) {
      throw new Violation(`${change}: it is alive, its last sign of life is from ${row.sign ?? after.lastMillis}`)
    }
    const sinceBoot = elapsed - this.bootedAtElapsed
    if (this.isClockTrusted && !row.wasEnded && sinceBoot < this.setting.startGrace) {
      throw new Violation(`${change}: ${sinceBoot} ms after the start, when no client could have come back`)
    }
  }

  /** A listener was notified that the row is offline. */
  transition(key: PresenceKey, reason: Transition["reason"]): void {
    const row = this.told.get(nameOf(key))
    if (row !== undefined && reason === "outdated") {
      // A supposed sign of life did not count.
      row.sign = undefined
      row.arrivedAt = undefined
      row.judgeableAtElapsed = this.scene.elapsedMillis()
    }
    if (this.stored.get(nameOf(key))?.isActive === true) {
      throw new Violation(`${nameOf(key)}: it was announced as offline before that was stored`)
    }
  }

  isStored(key: PresenceKey): boolean {
    return this.stored.has(nameOf(key))
  }

  connectionCount(key: PresenceKey): number {
    return this.told.get(nameOf(key))?.connections ?? 0
  }

  cloudedCount(): number {
    return [...this.told.values()].filter(({ isClouded }) => isClouded).length
  }

  /** All earlier reports had their tick: memory and file agree. `since`: the last one that may not have had it. */
  settled(why: string, settlingMillis: number): void {
    const elapsed = this.scene.elapsedMillis()
    for (const [name, row] of this.told) {
      const stored = this.stored.get(name)
      if (stored === undefined || row.isClouded) continue
      const what = `${name} is ${show(stored)} ${why}`
      if (row.isEnded && stored.isActive) throw new Violation(`${what}, though it ended: the end was lost`)
      const isAlive = row.sign !== undefined && !this.isJudgeable(row)
      if (row.isEnded || !isAlive || elapsed - row.judgeableAtElapsed < settlingMillis) continue
      const sign = row.sign ?? 0
      if (!stored.isActive && row.connections > 0 && this.isClockTrusted) {
        throw new Violation(`${what}, though it is connected`)
      }
      if (stored.isActive && this.isClockTrusted && stored.lastMillis > this.scene.wallMillis() + aheadMillis) {
        throw new Violation(`${what}: that time lies in the future, and a beat must have replaced it`)
      }
      if (!stored.isActive && stored.lastMillis < sign) throw new Violation(`${what}, though it is alive since ${sign}`)
      if (stored.lastMillis < sign - this.setting.persistThreshold) {
        throw new Violation(`${what}: its sign of life from ${sign} was lost`)
      }
    }
  }

  /** Everything is written. */
  demandAgreement(isOnline: (key: PresenceKey) => boolean): void {
    // After the clock was set back a row may need a second tick.
    if (this.isClockTrusted) FinalRows.demandAgreement(this.told, this.stored, isOnline)
  }

  /** The grace after the start is long over. */
  demandBack(): void {
    if (this.isClockTrusted) FinalRows.demandBack(this.told, this.stored, this.bootedAt)
  }

  /** There was no sign of life for so long that no row may be shown online. */
  silent(): void {
    FinalRows.demandSilence(this.told, this.stored, this.setting, this.scene.wallMillis())
  }
}
