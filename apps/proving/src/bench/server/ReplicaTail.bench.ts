/**
 * T20: the tail of registrations at two replicas while presence flushes.
 *
 * Two servers over one PostgreSQL and one Redis. New machines are registered at
 * random times, at one server and the other in turn, while 0, 9 or 1 000 sessions
 * beat once per tick, half of them at each server, and every tick writes all of
 * them. The loads take turns on the same servers, and each round compares its own:
 * a stall of the disk, which servers of databases have, meets one turn and not all.
 */
import { Effect } from "effect"
import type * as hdr from "hdr-histogram-js"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as Services from "../Services.ts"
import * as Client from "../../drivers/AccountClient.ts"
import * as Replicas from "../../drivers/Replicas.ts"
import * as Beating from "./support/Beating.ts"
import * as Daemon from "./support/Daemon.ts"
import * as Registrations from "./support/Registrations.ts"
import * as ReplicaSessions from "./support/ReplicaSessions.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const sizes = [0, 9, 1_000]
const tickMillis = 2_000
const perSecond = 50
const turnMillis = 4 * tickMillis
const turnCount = 7

const environment = {
  ...ServerProcess.unlimited,
  HAPPIER_PRESENCE_FLUSH_INTERVAL_MS: String(tickMillis),
  HAPPIER_PRESENCE_PERSIST_THRESHOLD_MS: "0"
}

/** One call after the other goes to the next of them. */
const inTurn = (calls: ReadonlyArray<() => Promise<void>>): (() => Promise<void>) => {
  let count = 0
  return async () => calls[count++ % calls.length]?.()
}

const measure = async ({ database, servers }: Replicas.Replicas, report: Parameters<Question>[0]): Promise<void> => {
  const account = Client.make()
  const daemons: Array<Daemon.Daemon> = []
  for (const { url } of servers) daemons.push(await Daemon.login(url, account))
  const ids = await Effect.runPromise(ReplicaSessions.seed(database, daemons[0]?.accountId ?? "", Math.max(...sizes)))
  const sockets = await Promise.all(daemons.map(({ connect }, index) => connect(ids[index] ?? "")))
  const register = inTurn(daemons.map((daemon) => daemon.register))
  const turnOf = async (size: number, seed: number): Promise<hdr.Histogram> => {
    const stops = sockets.map((socket, index) => {
      const mine = ids.slice(0, size).filter((_, row) => row % sockets.length === index)
      return Beating.start(socket, mine, tickMillis)
    })
    const latency = Registrations.makeHistogram()
    await Registrations.record(latency, { perSecond, forMillis: turnMillis, seed }, register)
    for (const stop of stops) stop()
    return latency
  }
  const whole = new Map(sizes.map((size) => [size, Registrations.makeHistogram()]))
  let seed = 0
  const side = (size: number) => async () => {
    // Each round has the same arrivals for all sizes. The first one warms up.
    const latency = await turnOf(size, 1 + Math.floor(seed++ / sizes.length))
    if (seed > sizes.length) whole.get(size)?.add(latency)
    return Registrations.percentileMillis(latency, 99)
  }
  const rounds = await Rounds.measure(turnCount, { idle: side(0), few: side(9), many: side(1_000) })
  const online = await Effect.runPromise(database.query(`SELECT count(*) AS n FROM "Session" WHERE "active"`))
  if (Number(online[0]?.["n"]) !== Math.max(...sizes)) throw new Error("not every session was shown online")
  const percentiles = (size: number) => {
    const latency = whole.get(size) ?? Registrations.makeHistogram()
    const [p50, p99] = [50, 99].map((at) => Rounds.digits(Registrations.percentileMillis(latency, at)))
    return `p50 ${p50}, p99 ${p99} ms`
  }
  for (const [name, size] of [
    ["few", 9],
    ["many", 1_000]
  ] as const) {
    const ratio = rounds.ratio(name, "idle")
    report({
      id: `T20@${size}`,
      ours: rounds.sides[name].median,
      theirs: rounds.sides.idle.median,
      unit: "ms p99",
      ratio,
      target: "ratio <= 1.25",
      met: ratio <= 1.25,
      note: `of ${whole.get(size)?.totalCount} together: ${percentiles(size)} against ${percentiles(0)}`
    })
  }
  for (const socket of sockets) socket.disconnect()
}

export const question: Question = (report) =>
  Services.withBoth("T20", (services) =>
    Effect.flatMap(Replicas.start({ ...services, count: 2, environment }), (replicas) =>
      Effect.promise(() => measure(replicas, report))
    )
  )
