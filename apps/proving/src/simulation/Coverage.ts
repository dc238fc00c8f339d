/** How often each fault met each operation. */
export const operations = [
  "register",
  "remove",
  "message",
  "rename",
  "prune",
  "end",
  "flush",
  "sweep",
  "opaque",
  "checkpoint"
] as const

/** The operations of the server, by the clients that wait for them. */
export type Operation = (typeof operations)[number]

export const faults = [
  "busy",
  "full",
  "io-before",
  "io-after",
  "death-before",
  "death-after",
  "death-idle",
  "stall",
  "slow",
  "clock-back",
  "clock-ahead",
  "pause",
  "shutdown",
  "crash",
  "interruption"
] as const

export type Fault = (typeof faults)[number]

/** Only a write can be answered with a foreign lock or a full disk, not a checkpoint or the effect of a host. */
const writesOnly: ReadonlySet<Fault> = new Set(["busy", "full", "io-before", "io-after"])

/** Calls without a caller that can disconnect: the layer's own fibers. */
const own: ReadonlySet<Operation> = new Set(["flush", "sweep", "checkpoint"])

/** An opaque effect of a host does not reach the engine. */
const engineOnly: ReadonlySet<Fault> = new Set(["death-before", "death-after", "death-idle", "stall", "slow"])

export const canMeet = (fault: Fault, operation: Operation): boolean => {
  if (fault === "interruption") return !own.has(operation)
  if (operation === "opaque") return !writesOnly.has(fault) && !engineOnly.has(fault)
  if (operation === "checkpoint") return !writesOnly.has(fault)
  return true
}

export type Coverage = Map<string, number>

const nameOf = (fault: Fault, operation: Operation): string => `${fault}/${operation}`

export const note = (coverage: Coverage, fault: Fault, operation: Operation): void => {
  const name = nameOf(fault, operation)
  coverage.set(name, (coverage.get(name) ?? 0) + 1)
}

export const add = (total: Coverage, more: Coverage): void => {
  for (const [name, count] of more) total.set(name, (total.get(name) ?? 0) + count)
}

/** Pairs that could have met and did not. */
export const missing = (coverage: Coverage): ReadonlyArray<string> =>
  faults.flatMap((fault) =>
    operations
      .filter((operation) => canMeet(fault, operation) && !coverage.has(nameOf(fault, operation)))
      .map((operation) => nameOf(fault, operation))
  )

/** A table for people, one line per fault. */
export const render = (coverage: Coverage): string => {
  const cell = (text: string) => text.padStart(11)
  const head = `${"".padEnd(13)}${operations.map(cell).join("")}`
  const lines = faults.map((fault) => {
    const cells = operations.map((operation) =>
      cell(canMeet(fault, operation) ? String(coverage.get(nameOf(fault, operation)) ?? 0) : "-")
    )
    return `${fault.padEnd(13)}${cells.join("")}`
  })
  return [head, ...lines].join("\n")
}
