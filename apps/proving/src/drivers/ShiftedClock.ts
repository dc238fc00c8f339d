/** A process whose wall clock is ahead of the one of the box, or behind it. Its monotonic time is not moved. */
import { fileURLToPath } from "node:url"

const preload = fileURLToPath(new URL("shiftedClock.cjs", import.meta.url))

/** What the process must have in its environment. Node loads in threads what it requires, but not what it imports. */
export const environment = (millis: number): Readonly<Record<string, string>> => ({
  NODE_OPTIONS: `--require=${preload}`,
  CLOCK_SHIFT_MILLIS: String(millis)
})
