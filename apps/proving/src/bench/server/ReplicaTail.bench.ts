/**
 * T20: the tail of registrations at two replicas while presence flushes.
 *
 * Two servers over one PostgreSQL and one Redis. New machines are registered at
 * random times, at one server and the other in turn, while 0, 9 or 1 000 sessions
 * beat once per tick, half of them at each server, and every tick writes all of
 * them. The loads take turns on the same servers.
 */
import { Effect } from "effect"
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
const turnMillis = 2 * tickMillis
const turnCount = 6

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
  const histograms = new Map(sizes.map((size) => [size, Registrations.makeHistogram()]))
  for (let turn = 0; turn <= turnCount; turn++) {
    for (const [size, latency] of turn % 2 === 0 ? histograms : [...histograms].toReversed()) {
      const stops = sockets.map((socket, index) => {
        const mine = ids.slice(0, size).filter((_, row) => row % sockets.length === index)
        return Beating.start(socket, mine, tickMillis)
      })
      const counted = turn === 0 ? Registrations.makeHistogram() : latency
      await Registrations.record(counted, { perSecond, forMillis: turnMillis, seed: turn + 1 }, register)
      for (const stop of stops) stop()
    }
  }
  const written = await Effect.runPromise(database.query(`SELECT count(*) AS n FROM "Session" WHERE "active"`))
  if (Number(written[0]?.["n"]) !== Math.max(...sizes)) throw new Error("not every session was shown online")
  const idle = histograms.get(0) ?? Registrations.makeHistogram()
  const theirs = Registrations.percentileMillis(idle, 99)
  for (const [size, latency] of histograms) {
    if (size === 0) continue
    const ours = Registrations.percentileMillis(latency, 99)
    const p50 = Registrations.percentileMillis(latency, 50)
    report({
      id: `T20@${size}`,
      ours,
      theirs,
      unit: "ms p99",
      ratio: ours / theirs,
      target: "ratio <= 1.25",
      met: ours / theirs <= 1.25,
      note:
        `${latency.totalCount} registrations; p50 ${Rounds.digits(p50)} against ` +
        `${Rounds.digits(Registrations.percentileMillis(idle, 50))} ms`
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
