/**
 * S5: one server on a file against one and three replicas over PostgreSQL and
 * Redis, in one run on the same machine.
 *
 * All of them run at the same time and take turns, so the ones that wait cost
 * each of them the same. Clients, servers, database and Redis share the
 * processors: that a third replica adds nothing here says nothing about three
 * machines. What a registration and a heartbeat cost in processor time does.
 */
import { Effect } from "effect"
import * as fs from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import type * as hdr from "hdr-histogram-js"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as Services from "../Services.ts"
import * as Target from "../Target.ts"
import * as OtherLoad from "../../drivers/OtherLoad.ts"
import * as Beating from "./support/Beating.ts"
import * as Registrations from "./support/Registrations.ts"
import * as ScaleStand from "./support/ScaleStand.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const sessionCount = 1_000
const roundCount = 3
const inFlight = 64
const floodMillis = 2_500
const tailMillis = 4_000
const perSecond = 50
const beatMillis = 2_000
const burst = 500
const idleMillis = 3_000

const services = new Set(Target.services)

/** One round of one stand. */
interface Sample {
  /** Registrations a second, with as many in flight as one group of writes takes. */
  readonly registrations: number
  /** Processor time of one, in microseconds: of the servers, and of database and Redis. */
  readonly registrationMicros: number
  readonly registrationServiceMicros: number
  /** Heartbeats a second of the processor time of all servers. */
  readonly beats: number
  /** Percent of a core while nothing is asked. */
  readonly idleServers: number
  readonly idleServices: number
}

const serversMillis = ({ pids }: ScaleStand.ScaleStand): number =>
  pids.reduce((sum, pid) => sum + ServerProcess.processorMillis(pid), 0)

/** What `work` used, in milliseconds. */
const used = async (stand: ScaleStand.ScaleStand, work: () => Promise<number>) => {
  const before = { servers: serversMillis(stand), services: OtherLoad.servicesMillis(services) }
  const count = await work()
  return {
    count,
    servers: serversMillis(stand) - before.servers,
    services: OtherLoad.servicesMillis(services) - before.services
  }
}

const registerAll = async ({ register }: ScaleStand.ScaleStand): Promise<number> => {
  const until = performance.now() + floodMillis
  let count = 0
  const caller = async (_: unknown, index: number) => {
    while (performance.now() < until) {
      await register[index % register.length]?.()
      count++
    }
  }
  await Promise.all(Array.from({ length: inFlight }, caller))
  return count
}

const beatAll = async ({ agents }: ScaleStand.ScaleStand): Promise<number> => {
  const until = performance.now() + floodMillis
  let count = 0
  const send = async ({ ids, socket }: (typeof agents)[number]) => {
    while (performance.now() < until) {
      const time = Date.now()
      for (let sent = 0; sent < burst; sent++) {
        socket.emit("session-alive", { sid: ids[count++ % ids.length], time, thinking: false })
      }
      await new Promise((resolve) => socket.emit("ping", resolve))
    }
  }
  await Promise.all(agents.map(send))
  return count
}

/** Adds to the histogram what registrations wait for while all sessions beat. */
const tail = async (stand: ScaleStand.ScaleStand, latency: hdr.Histogram, seed: number): Promise<void> => {
  const stops = stand.agents.map(({ ids, socket }) => Beating.start(socket, ids, beatMillis))
  let count = 0
  const next = async () => stand.register[count++ % stand.register.length]?.()
  await Registrations.record(latency, { perSecond, forMillis: tailMillis, seed }, next)
  for (const stop of stops) stop()
}

const sampleOf = async (stand: ScaleStand.ScaleStand): Promise<Sample> => {
  const idle = await used(stand, async () => {
    await sleep(idleMillis)
    return 1
  })
  const began = performance.now()
  const registering = await used(stand, () => registerAll(stand))
  const seconds = (performance.now() - began) / 1_000
  const beating = await used(stand, () => beatAll(stand))
  return {
    registrations: registering.count / seconds,
    registrationMicros: (registering.servers * 1_000) / registering.count,
    registrationServiceMicros: (registering.services * 1_000) / registering.count,
    beats: (beating.count * 1_000) / beating.servers,
    idleServers: (idle.servers / idleMillis) * 100,
    idleServices: (idle.services / idleMillis) * 100
  }
}

/** Resident memory of programs with these names, shared pages divided by those that share them. Zero if not allowed. */
const servicesBytes = (): number => {
  let kilobytes = 0
  for (const pid of fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (!services.has(fs.readFileSync(`/proc/${pid}/comm`, "utf8").trim())) continue
      const rollup = fs.readFileSync(`/proc/${pid}/smaps_rollup`, "utf8")
      kilobytes += Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1] ?? 0)
    } catch {
      // It has ended, or belongs to another user.
    }
  }
  return kilobytes * 1024
}

interface Measured {
  readonly stand: ScaleStand.ScaleStand
  readonly samples: ReadonlyArray<Sample>
  readonly p99Millis: number
  readonly megabytes: number
}

const median = ({ samples }: Measured, of: (sample: Sample) => number): number => Rounds.median(samples.map(of))

type Point = readonly [name: string, unit: string, of: (measured: Measured) => number, measures?: "memory"]

const points: ReadonlyArray<Point> = [
  ["registrations", "per s", (measured) => median(measured, ({ registrations }) => registrations)],
  ["registration, servers", "us", (measured) => median(measured, ({ registrationMicros }) => registrationMicros)],
  [
    "registration, database",
    "us",
    (measured) => median(measured, ({ registrationServiceMicros }) => registrationServiceMicros)
  ],
  ["p99", "ms", ({ p99Millis }) => p99Millis],
  ["beats", "per cpu s", (measured) => median(measured, ({ beats }) => beats)],
  ["idle, servers", "% of core", (measured) => median(measured, ({ idleServers }) => idleServers)],
  ["memory, servers", "MB", ({ megabytes }) => megabytes, "memory"]
]

const report = (into: Parameters<Question>[0], all: ReadonlyArray<Measured>, servicesMegabytes: number): void => {
  const [file] = all
  if (file === undefined) return
  for (const [name, unit, of, measures = "time"] of points) {
    for (const measured of all) {
      const ours = of(measured)
      const theirs = of(file)
      const idle = median(measured, ({ idleServices }) => idleServices)
      into({
        id: `S5@${measured.stand.name}/${name}`,
        ours,
        theirs,
        unit,
        ratio: ours / theirs,
        measures,
        target: "none",
        met: true,
        note:
          name === "idle, servers"
            ? `all databases and Redis of this machine: ${Rounds.digits(idle)} %`
            : name === "memory, servers"
              ? `all databases and Redis of this machine: ${Rounds.digits(servicesMegabytes)} MB`
              : ""
      })
    }
  }
}

const measure = async (stands: ReadonlyArray<ScaleStand.ScaleStand>, into: Parameters<Question>[0]): Promise<void> => {
  const samples = stands.map((): Array<Sample> => [])
  const latencies = stands.map(() => Registrations.makeHistogram())
  for (let round = 0; round <= roundCount; round++) {
    const order = [...stands.keys()]
    for (const index of round % 2 === 0 ? order : order.toReversed()) {
      const stand = stands[index]
      if (stand === undefined) continue
      // First: after a flood it would say how long that takes to drain.
      const latency = round === 0 ? Registrations.makeHistogram() : latencies[index]
      await tail(stand, latency ?? Registrations.makeHistogram(), round + 1)
      const sample = await sampleOf(stand)
      if (round > 0) samples[index]?.push(sample)
    }
  }
  const all = stands.map((stand, index): Measured => ({
    stand,
    samples: samples[index] ?? [],
    p99Millis: Registrations.percentileMillis(latencies[index] ?? Registrations.makeHistogram(), 99),
    megabytes: stand.pids.reduce((sum, pid) => sum + ServerProcess.residentBytes(pid), 0) / 2 ** 20
  }))
  report(into, all, servicesBytes() / 2 ** 20)
  for (const { agents } of stands) for (const { socket } of agents) socket.disconnect()
}

export const question: Question = (into) =>
  Services.withBoth("S5", (found) =>
    Effect.gen(function* () {
      const stands = [
        yield* ScaleStand.onFile(sessionCount),
        // Two installations on one Redis need databases of their own.
        yield* ScaleStand.ofReplicas(found, 1, sessionCount),
        yield* ScaleStand.ofReplicas({ ...found, redisUrl: found.redisUrl.replace(/\d+$/, "14") }, 3, sessionCount)
      ]
      yield* Effect.promise(() => measure(stands, into))
    })
  )
