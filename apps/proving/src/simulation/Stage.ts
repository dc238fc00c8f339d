/** Shared by all parts of one simulation: the time, the file, the auditors, and the first guarantee that was broken. */
import { inOrder, type Order, VirtualTime } from "contention-lab/VirtualTime"
import * as Either from "effect/Either"
import { defaultShouldYield } from "effect/Scheduler"
import * as Lane from "presence-effect/writer/Lane"
import * as WriterPolicy from "presence-effect/writer/WriterPolicy"
import { Audited } from "./Audited.ts"
import { CallAuditor } from "./CallAuditor.ts"
import type { Coverage } from "./Coverage.ts"
import * as Dice from "./Dice.ts"
import { RowAuditor } from "./RowAuditor.ts"
import type { Scenario, Setting } from "./Scenario.ts"
import type { SimulatedFile } from "./SimulatedFile.ts"
import type { StoredRow } from "./StoredRow.ts"
import * as Trace from "./Trace.ts"

/** Fibers that could run run in any order, and timers of one instant may be one turn. */
const shuffled = (dice: Dice.Dice): Order => ({
  next: (count) => (count > 1 && dice.chance(0.3) ? dice.whole(0, count - 1) : 0),
  isTogether: () => dice.chance(0.5)
})

/** Small queues and short patience: in a few seconds everything overflows and gives up. */
const policyOf = ({ bypassLimit, groupLimit }: Setting): WriterPolicy.WriterPolicy => ({
  lanes: [
    {
      lane: Lane.control,
      acquireTimeout: 300,
      holdLimit: 300,
      deadline: 1_200,
      capacity: 6,
      groupLimit,
      retry: { retryFor: 500, retryDelay: 5, retryDelayMax: 40 },
      durability: "power-loss"
    },
    {
      lane: Lane.data,
      acquireTimeout: 600,
      holdLimit: 400,
      deadline: 2_000,
      capacity: 8,
      groupLimit,
      retry: { retryFor: 900, retryDelay: 10, retryDelayMax: 80 },
      durability: "power-loss"
    },
    {
      lane: Lane.presence,
      acquireTimeout: 2_000,
      holdLimit: 1_000,
      deadline: 3_000,
      capacity: 4,
      groupLimit: 1,
      retry: { retryFor: 0, retryDelay: 0, retryDelayMax: 0 },
      durability: "process-crash"
    },
    {
      lane: Lane.maintenance,
      acquireTimeout: 3_000,
      holdLimit: 1_000,
      deadline: 6_000,
      capacity: 3,
      groupLimit: 1,
      retry: { retryFor: 1_000, retryDelay: 100, retryDelayMax: 400 },
      durability: "process-crash"
    }
  ],
  bypassLimit
})

export class Stage extends Audited {
  readonly setting: Setting
  readonly policy: WriterPolicy.WriterPolicy
  readonly resolved: WriterPolicy.ResolvedPolicy
  readonly time: VirtualTime
  readonly trace: Trace.Trace
  readonly calls: CallAuditor
  readonly rows: RowAuditor
  readonly coverage: Coverage = new Map()
  readonly file: SimulatedFile
  readonly seed: number
  /** Set while the server is asked to stop. */
  isStopping = false
  isReaderBroken = false
  private pausedMillis = 0
  /** The longest so far. */
  private stalledMillis = 0

  constructor(
    scenario: Scenario,
    file: SimulatedFile,
    rowsAtStart: (wallMillis: number) => ReadonlyArray<StoredRow>,
    print?: (line: string) => void
  ) {
    super()
    this.seed = scenario.seed
    this.setting = scenario.setting
    this.file = file
    this.policy = policyOf(scenario.setting)
    this.resolved = Either.getOrThrow(WriterPolicy.resolve(this.policy))
    this.time = new VirtualTime({
      wallMillis: 1_800_000_000_000,
      shouldYield: defaultShouldYield,
      order: scenario.setting.isShuffled ? shuffled(Dice.make(scenario.seed, "order")) : inOrder
    })
    this.trace = Trace.make(() => this.time.elapsedMillis(), print)
    const scene = {
      wallMillis: () => this.time.wallMillis(),
      elapsedMillis: () => this.time.elapsedMillis(),
      pausedMillis: () => this.pausedMillis,
      stalledMillis: () => this.stalledMillis,
      appliedCount: file.appliedCount,
      isStopping: () => this.isStopping
    }
    const rows = rowsAtStart(this.time.wallMillis())
    file.reset(rows)
    this.calls = new CallAuditor(scene, this.resolved)
    this.rows = new RowAuditor(scene, scenario.setting, rows)
    this.time.onQuiet = () => this.audit(() => this.calls.quiet())
  }

  totalPausedMillis(): number {
    return this.pausedMillis
  }

  setClock(byMillis: number): void {
    this.trace.note(`clock set by ${byMillis} ms`)
    this.rows.clockIsSet(byMillis)
    this.time.setWall(byMillis)
  }

  /** The engine is about to stall. */
  stalls(millis: number): void {
    this.stalledMillis = Math.max(this.stalledMillis, millis)
  }

  pause(millis: number): void {
    this.trace.note(`the process stands still for ${millis} ms`)
    this.pausedMillis += millis
    this.time.pause(millis)
  }
}
