/** What was reported to one process about a row. Times of the wall clock, unless the name indicates otherwise. */
export interface Told {
  /** The date of the newest sign of life; no later than the clock, were it set back since. */
  sign: number | undefined
  /** The newest date at which it was shown online; its last disconnect counts too. */
  onlineAt: number
  /** When the newest sign of life arrived. */
  arrivedAt: number | undefined
  /** Later than any date of a sign, an end and a last disconnect of the row: what is newer must be accepted. */
  highest: number
  /** The newest time that the client claimed, by its own clock, for a sign or an end. */
  claimed: number
  isEnded: boolean
  /** When the end arrived. It is remembered for the acceptance window. */
  endedAt: number
  /** The end by the clock of the client: a beat that claims no more may not bring the row back. */
  endClaim: number
  /** Once, by this process. */
  wasEnded: boolean
  connections: number
  droppedAt: number | undefined
  /** The latest time at which a connection was open before the clock was set back. */
  connectedUntil: number
  /** When the row could be shown offline for the last time, in monotonic milliseconds. */
  judgeableAtElapsed: number
  /** The row was deleted or belonged to another account meanwhile: its state in memory is uncertain. */
  isClouded: boolean
}

export const nothingTold = (): Told => ({
  sign: undefined,
  onlineAt: Number.NEGATIVE_INFINITY,
  arrivedAt: undefined,
  highest: Number.NEGATIVE_INFINITY,
  claimed: Number.NEGATIVE_INFINITY,
  isEnded: false,
  endedAt: Number.NEGATIVE_INFINITY,
  endClaim: Number.NEGATIVE_INFINITY,
  wasEnded: false,
  connections: 0,
  droppedAt: undefined,
  connectedUntil: Number.NEGATIVE_INFINITY,
  judgeableAtElapsed: Number.NEGATIVE_INFINITY,
  isClouded: false
})

/** The latest time for which an open connection proves that the row was there. */
export const provenUntil = ({ connectedUntil, connections, droppedAt }: Told, now: number): number =>
  Math.max(connectedUntil, connections > 0 ? now : (droppedAt ?? 0))

/** The clock was set back: what was later than it now is happened now. */
export const stepBack = (row: Told, before: number, now: number): void => {
  row.connectedUntil = provenUntil(row, before)
  row.endedAt = Math.min(row.endedAt, now)
  if (row.arrivedAt !== undefined) row.arrivedAt = Math.min(row.arrivedAt, now)
  if (row.sign !== undefined) row.sign = Math.min(row.sign, now)
  row.onlineAt = Math.min(row.onlineAt, now)
  if (row.droppedAt !== undefined) row.droppedAt = Math.min(row.droppedAt, now)
}

/** The time that a claim stands for at this time, or why it is invalid. One from before `window` is ancient. */
export const acceptedTime = (claimed: number, now: number, window: number): number | "invalid" | "ancient" => {
  if (!(claimed >= 0 && claimed < Number.POSITIVE_INFINITY)) return "invalid"
  if (claimed < now - window) return "ancient"
  return Math.floor(Math.min(claimed, now))
}
