/**
 * How much of the machine other programs used while something was measured. A ratio cancels what slows both sides
 * alike, and not what another program does to one of them: beyond a limit no figure counts as met.
 */
import * as fs from "node:fs"
import * as os from "node:os"

/** Share of all processor time that others may use. Two ratios that were measured on a quiet box differ by more. */
export const shareMax = 0.1

/** Processor time in milliseconds. */
export interface Sample {
  /** Of all programs, and what a hypervisor kept for others. */
  readonly busy: number
  readonly total: number
  /** Of the programs that measure and are measured. */
  readonly own: number
}

/** A tick of `/proc` is 10 ms on every platform of Linux that Node runs on. */
const tickMillis = 10

/** The name and the group of a process, and its processor time with that of its children that have ended. */
export const readStat = (stat: string): { readonly name: string; readonly group: number; readonly millis: number } => {
  const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"))
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  const ticks = [11, 12, 13, 14].reduce((sum, field) => sum + Number(fields[field]), 0)
  return { name, group: Number(fields[2]), millis: ticks * tickMillis }
}

const ownMillis = (group: number, services: ReadonlySet<string>): number => {
  let millis = 0
  for (const name of fs.readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue
    try {
      const found = readStat(fs.readFileSync(`/proc/${name}/stat`, "utf8"))
      if (found.group === group || services.has(found.name)) millis += found.millis
    } catch {
      // It has ended meanwhile; its parent has its time.
    }
  }
  return millis
}

/** Beyond any that a system gives out. */
const noGroup = 2 ** 30

/**
 * `services`: names of programs that work for the group without being in it. Nothing where the system does not tell.
 */
export const sample = (group: number, services: ReadonlySet<string> = new Set()): Sample | undefined => {
  try {
    const [line = ""] = fs.readFileSync("/proc/stat", "utf8").split("\n")
    const times = line.trim().split(/\s+/).slice(1, 9).map(Number)
    const [, , , idle = 0, waiting = 0] = times
    const total = times.reduce((sum, ticks) => sum + ticks, 0)
    return { total: total * tickMillis, busy: (total - idle - waiting) * tickMillis, own: ownMillis(group, services) }
  } catch {
    return undefined
  }
}

/** Processor time in milliseconds of all programs with these names. */
export const servicesMillis = (services: ReadonlySet<string>): number => sample(noGroup, services)?.own ?? 0

/** Between two samples; without samples, the load average is used. */
export const share = (before: Sample | undefined, after: Sample | undefined): number => {
  if (before === undefined || after === undefined) {
    // What measures keeps about one processor busy itself.
    return Math.max(0, (os.loadavg()[0] ?? 0) / os.availableParallelism() - 1)
  }
  const total = after.total - before.total
  return total <= 0 ? 0 : Math.max(0, after.busy - before.busy - (after.own - before.own)) / total
}

/** Results that come together were measured together. */
const togetherMillis = 1_000

/** The share since the last call that was a while ago, or since now. */
export const since = (group: number, services?: ReadonlySet<string>): (() => number) => {
  let before = sample(group, services)
  let latest = 0
  return () => {
    const now = sample(group, services)
    if (before !== undefined && now !== undefined && now.total - before.total < togetherMillis) return latest
    latest = share(before, now)
    before = now
    return latest
  }
}
