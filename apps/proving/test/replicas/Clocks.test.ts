/**
 * Goal: servers whose clocks are a minute apart agree on who is online, and since when.
 * Method: three servers with moved clocks over one PostgreSQL and one Redis, clients that move between them, and one
 * server that is killed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { inject } from "vitest"
import type * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as LocalRedis from "../../src/drivers/LocalRedis.ts"
import * as ShiftedClock from "../../src/drivers/ShiftedClock.ts"
import * as Size from "../../src/drivers/Size.ts"
import * as Fleet from "./Fleet.ts"

const postgresUrl = inject("postgresUrl")
const redisUrl = await LocalRedis.find()

const shifts = [-30_000, 0, 30_000]

/** What a server shows as the time, moved back. */
const clockOf = (server: BuiltServer.Server, index: number) =>
  Effect.map(Effect.orDie(Device.request(`${server.url}/v2/health`)), ({ body }) => {
    const shown = Date.parse(String(body["timestamp"]))
    return shown - (shifts[index] ?? 0)
  })

/** A session at one server, whose agent has beaten and is shown. */
const openAt = (fleet: Fleet.Fleet, server: BuiltServer.Server, tag: string) =>
  Effect.gen(function* () {
    const opened = yield* Fleet.openBeating(yield* Fleet.login(server.url, fleet.account), tag)
    for (const { line } of fleet.apps) {
      yield* Fleet.soon(`${tag} is shown online`, line.until(Fleet.isActivity(opened.sid, true)))
    }
    // Two ticks of presence: its row is marked.
    yield* Effect.sleep("10 seconds")
    return opened
  })

/** When each app was shown a session offline, in ms from now. */
const untilOffline = ({ apps }: Fleet.Fleet, id: string) =>
  Effect.forEach(
    apps,
    ({ line }) => Effect.timed(Fleet.soon(`${id} is shown offline`, line.until(Fleet.isActivity(id, false)), 90)),
    { concurrency: "unbounded" }
  )

/** Times in what apps heard are those of the box, whichever server dated them. */
const checkTimes = ({ apps }: Fleet.Fleet, from: number, until: number) => {
  for (const { line } of apps) {
    for (const { event, payload } of line.heard) {
      if (event !== "ephemeral" || payload.type !== "activity") continue
      assert.isAbove(payload.activeAt, from - 5_000)
      assert.isBelow(payload.activeAt, until + 5_000)
    }
  }
}

describe.skipIf(postgresUrl === undefined || redisUrl === undefined)("three servers with clocks a minute apart", () => {
  it("move the clock of a process and of its threads", () => {
    const program = `const { Worker } = require("node:worker_threads")
      const print = "console.log(Date.now(), +new Date(), new Date(5).getTime(), new Date() instanceof Date)"
      new Worker(print, { eval: true })`
    const output = execFileSync(process.execPath, ["-e", program], {
      encoding: "utf8",
      env: { PATH: process.env["PATH"], ...ShiftedClock.environment(86_400_000) }
    })
    const [now, made, given, isDate] = output.trim().split(" ")
    for (const shown of [now, made]) assert.isAbove(Number(shown) - Date.now(), 86_000_000)
    assert.deepStrictEqual([given, isDate], ["5", "true"])
  })

  it.scopedLive.skipIf(Size.isQuick)(
    "show nobody offline who moves between them, and everybody who is gone",
    () =>
      Effect.gen(function* () {
        const from = Date.now()
        const fleet = yield* Fleet.start({
          postgresUrl: postgresUrl ?? "",
          redisUrl: redisUrl ?? "",
          environmentOf: (index) => ShiftedClock.environment(shifts[index] ?? 0)
        })
        const { apps, balancer, ids, servers } = fleet
        for (const [index, server] of servers.entries()) {
          assert.closeTo(yield* clockOf(server, index), Date.now(), 5_000)
        }
        // One at each server, whose agent leaves.
        const leaving = yield* Effect.forEach(servers, (server, index) => openAt(fleet, server, `leaves ${index}`), {
          concurrency: "unbounded"
        })
        for (const { line } of leaving) line.socket.disconnect()
        // Meanwhile the others move on, from each server to the other two.
        for (const server of servers) {
          balancer.drain(server)
          balancer.cut(server)
          yield* Effect.sleep("8 seconds")
          balancer.admit(server)
        }
        for (const { sid } of leaving) yield* untilOffline(fleet, sid)
        const [, , fast] = servers as [BuiltServer.Server, BuiltServer.Server, BuiltServer.Server]
        const dying = yield* openAt(fleet, fast, "dies")
        yield* fast.end("SIGKILL")
        dying.line.socket.disconnect()
        const others = { ...fleet, apps: apps.slice(0, 2) }
        yield* untilOffline(others, dying.sid)
        for (const { line } of others.apps) assert.deepStrictEqual(Fleet.heardOffline(line, ids), [], fleet.output())
        yield* fast.start
        yield* Fleet.check(fleet)
        checkTimes(fleet, from, Date.now())
      }),
    400_000
  )
})
