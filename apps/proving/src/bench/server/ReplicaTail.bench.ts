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
import * as Services from "../Services.ts"
import * as Client from "../../drivers/AccountClient.ts"
import * as Replicas from "../../drivers/Replicas.ts"
import * as Beating from "./support/Beating.ts"
import * as Daemon from "./support/Daemon.ts"
import * as RegistrationRounds from "./support/RegistrationRounds.ts"
import * as ReplicaSessions from "./support/ReplicaSessions.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const sessionCount = 1_000
const tickMillis = 2_000
const perSecond = 50
const turnMillis = 4 * tickMillis
const roundCount = 7

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
  const ids = await Effect.runPromise(ReplicaSessions.seed(database, daemons[0]?.accountId ?? "", sessionCount))
  const sockets = await Promise.all(daemons.map(({ connect }, index) => connect(ids[index] ?? "")))
  const register = inTurn(daemons.map((daemon) => daemon.register))
  const beating = (size: number) => () => {
    const stops = sockets.map((socket, index) => {
      const mine = ids.slice(0, size).filter((_, row) => row % sockets.length === index)
      return Beating.start(socket, mine, tickMillis)
    })
    return () => {
      for (const stop of stops) stop()
    }
  }
  const tails = await RegistrationRounds.measure(
    roundCount,
    { perSecond, turnMillis, register },
    { idle: beating(0), few: beating(9), many: beating(sessionCount) }
  )
  const online = await Effect.runPromise(database.query(`SELECT count(*) AS n FROM "Session" WHERE "active"`))
  if (Number(online[0]?.["n"]) !== sessionCount) throw new Error("not every session was shown online")
  for (const [name, size] of [
    ["few", 9],
    ["many", sessionCount]
  ] as const) {
    const ratio = tails.ratio(name, "idle")
    report({
      id: `T20@${size}`,
      ours: tails.sides[name].median,
      theirs: tails.sides.idle.median,
      unit: "ms p99",
      ratio,
      target: "ratio <= 1.25",
      met: ratio <= 1.25,
      note: tails.together(name, "idle")
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
