/** The result of a benchmark for one target. */

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
  /** Additional notes: spreads, counts, the part of the target that is not a ratio. */
  readonly note?: string
}

export type Report = (result: Result) => void

/** Answers one question. Reports each result as soon as it is available. */
export type Question = (report: Report) => Promise<void>

/** What a process that answers a question sends to its parent. */
export type Message = { readonly _tag: "Result"; readonly result: Result } | { readonly _tag: "Done" }
