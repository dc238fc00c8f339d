/** A row that the database refuses to write: it is tried again later and less and less often. */
export interface Parking {
  /** Infinity: its time has come, and it waits for a batch. */
  readonly retryAt: number
  readonly refusals: number
}

const retryFirstMillis = 60_000
const retryLastMillis = 16 * 60_000

/** After so many refusals a row that is not online is forgotten. */
const refusalsMax = 5

/** After one more refusal. */
export const after = (before: Parking | undefined, now: number): Parking => {
  const refusals = (before?.refusals ?? 0) + 1
  return { retryAt: now + Math.min(retryLastMillis, retryFirstMillis * 2 ** (refusals - 1)), refusals }
}

export const isHopeless = ({ refusals }: Parking): boolean => refusals >= refusalsMax

export const isWaiting = ({ retryAt }: Parking): boolean => retryAt === Number.POSITIVE_INFINITY

/** A time that lies further ahead than any is from before the clock was set back. */
export const isDue = (parking: Parking, now: number): boolean =>
  !isWaiting(parking) && (now >= parking.retryAt || parking.retryAt - now > retryLastMillis)

export const waiting = ({ refusals }: Parking): Parking => ({ retryAt: Number.POSITIVE_INFINITY, refusals })
