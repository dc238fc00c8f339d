/** How long after its content was taken a flush may still be committed. */

export interface Trouble {
  /** For how long the process stood still so far. */
  readonly pausedMillis: () => number
  /** The longest time for which the engine stalled so far. */
  readonly stalledMillis: () => number
}

/** For one chunk: the longest wait and the hold limit, with a little more. */
const chunkMillis = 3_200

/** After it the writer answers. An engine that stalls for longer may still commit. */
const holdLimitMillis = 1_000

export const limitMillis = (chunkCount: number, { pausedMillis, stalledMillis }: Trouble): number =>
  chunkCount * chunkMillis + pausedMillis() + Math.max(0, stalledMillis() - holdLimitMillis)
