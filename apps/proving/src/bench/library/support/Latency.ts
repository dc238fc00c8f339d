/** Median time of a call, by tinybench. */
import { Bench } from "tinybench"

export interface Terms {
  /** How long to go on, and at least how often. */
  readonly timeMillis: number
  readonly iterations: number
  /** Before each call, outside of what is measured. */
  readonly prepare?: () => void | Promise<void>
}

/** Milliseconds. The rounds around this do the warm-up. */
export const p50Millis = async (
  call: (() => Promise<unknown>) | (() => number),
  { iterations, prepare, timeMillis }: Terms,
  kind: "async" | "sync" = "async"
): Promise<number> => {
  const bench = new Bench({ time: timeMillis, iterations, warmup: false, throws: true })
  // Given explicitly, because tinybench would find it out by a call of its own, before anything is prepared.
  bench.add("call", call, { async: kind === "async", ...(prepare === undefined ? {} : { beforeEach: prepare }) })
  const [task] = await bench.run()
  if (task?.result.state !== "completed") throw new Error(`the measurement is ${task?.result.state}`)
  return task.result.latency.p50
}
