import * as os from "node:os"

/** A quarter of a processor that others want too: what runs so is done soon, and nobody waits for it. */
const below = 5

const lowest = 19

/**
 * The calling thread runs when others leave time for it. Only Linux has a priority for each thread; elsewhere it would
 * be that of the process.
 */
export const lowerPriority = (): void => {
  if (process.platform !== "linux") return
  try {
    os.setPriority(Math.min(os.getPriority() + below, lowest))
  } catch {
    // A sandbox may forbid it. Then the thread runs like the others.
  }
}
