/** The result of a benchmark for one target. */
import * as OtherLoad from "../drivers/OtherLoad.ts"

export interface Result {
  /** The target, and the size it was measured at: `T1@1000`. */
  readonly id: string
  readonly ours: number
  readonly theirs: number
  readonly unit: string
  /** Ours by theirs or the other way round: whether greater is better depends on `target`. */
  readonly ratio: number
  readonly target: string
  readonly met: boolean
  /** What other programs do to the box makes no difference to memory, nor to bytes. Default: time. */
  readonly measures?: "time" | "memory"
  /** Additional notes: spreads, counts, the part of the target that is not a ratio. */
  readonly note?: string
}

export type Report = (result: Result) => void

/**
 * A result with the share of the machine that other programs used meanwhile. On a busy box it does not count as met,
 * and as missed neither.
 */
export interface Judged extends Result {
  readonly otherShare: number
  readonly verdict: "met" | "missed" | "busy"
}

/** `otherShare`: of all processor time, from 0 to 1. */
export const judged = (result: Result, otherShare: number): Judged => ({
  ...result,
  otherShare: Number(otherShare.toFixed(3)),
  verdict:
    (result.measures ?? "time") === "time" && otherShare > OtherLoad.shareMax ? "busy" : result.met ? "met" : "missed"
})

/** Answers one question. Reports each result as soon as it is available. */
export type Question = (report: Report) => Promise<void>

/** What a process that answers a question sends to its parent. */
export type Message = { readonly _tag: "Result"; readonly result: Result } | { readonly _tag: "Done" }
