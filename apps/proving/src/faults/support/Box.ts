/**
 * How busy the machine is with other work: what it may add to any time that is
 * measured from outside.
 */
import os from "node:os"

/** Runnable threads per processor over the last minute, from 1, when no thread has to wait, to 4. */
export const crowding = (): number => Math.min(4, Math.max(1, (os.loadavg()[0] ?? 0) / os.availableParallelism()))

/** A limit that holds on a quiet box, for this one. */
export const stretched = (millis: number): number => Math.round(millis * crowding())

/** What is added to every time that is measured from outside. */
export const marginMillis = (): number => stretched(1500)
