/** F39: one account reads all its data, again and again. */
import Sqlite from "better-sqlite3"
import { Effect } from "effect"
import * as Client from "../../drivers/AccountClient.ts"
import * as Device from "../../drivers/Device.ts"
import { addMessages } from "../../drivers/Rows.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as AckFile from "../support/AckFile.ts"
import * as Box from "../support/Box.ts"
import * as Stage from "../support/Stage.ts"

const readerCount = 8
const idleMillis = 8000
const heavyMillis = 15_000
const liveLimitMillis = 250

const reportCount = 5000
const nameCount = 64
const listedCount = 150
const listedBytes = 50_000
const messageCount = 20
const messageBytes = 400_000

/** Reports, sessions and messages of an account, put into the file beside the running server. */
const fill = (databaseFile: string, accountId: string, sessionId: string) =>
  Effect.sync(() => {
    const sqlite = new Sqlite(databaseFile, { timeout: 10_000 })
    const names = Object.fromEntries(Array.from({ length: nameCount - 1 }, (_, index) => [`name-${index}`, index]))
    const data = JSON.stringify({ tokens: { total: 1, ...names }, cost: { total: 0.5, ...names } })
    const report = sqlite.prepare(`INSERT INTO "UsageReport" VALUES (?, ?, ?, NULL, ?, ?, ?)`)
    const session = sqlite.prepare(
      `INSERT INTO "Session" ("id", "tag", "accountId", "metadata", "lastActiveAt", "createdAt", "updatedAt")
       VALUES (?, ?, ?, ?, 5, 5, ?)`
    )
    const now = Date.now()
    sqlite.transaction(() => {
      for (let index = 0; index < reportCount; index++) {
        report.run(`f39-r${index}`, `f39 ${index}`, accountId, data, now - index, now)
      }
      for (let index = 0; index < listedCount; index++) {
        session.run(`f39-s${index}`, `f39 ${index}`, accountId, "x".repeat(listedBytes), now)
      }
    })()
    addMessages({ sqlite }, sessionId, messageCount, messageBytes)
    sqlite.close()
  })

/** Reads until it is interrupted, and records each status and whether it contains when to come back. */
const readOn = (device: Device.Device, sessionId: string, index: number, answers: Array<Device.Answer>) => {
  const reads = [
    device.get(`/v1/sessions/${sessionId}/messages?limit=150`),
    device.post("/v1/usage/query", { groupBy: "hour" }),
    device.get("/v1/sessions")
  ]
  const read = reads[index % reads.length]
  return read === undefined
    ? Effect.void
    : Effect.forever(Effect.map(read, (answer) => answers.push({ ...answer, text: "", body: {} })))
}

const isProper = ({ headers, status }: Device.Answer) =>
  status === 200 || (status === 503 && Number(headers.get("retry-after")) > 0)

export const F39HeavyReads: Scenario = {
  id: "F39",
  title: "heavy reads of one account",
  injected:
    `${readerCount} readers of 8 MB of messages, of a usage query over ${reportCount} reports of ${nameCount} names, ` +
    "and of a session list of 7.5 MB",
  promises: ["P6"],
  needs: [],
  isQuick: true,
  within: "120 seconds",
  run: () =>
    Effect.gen(function* () {
      const stage = yield* Stage.open({ sessionCount: 2 })
      const { server } = stage
      const heavy = yield* Device.login(server.url, Client.make())
      const sessionId = yield* Device.openSession(heavy, "f39")
      const [owner] = server.rows(`SELECT "accountId" FROM "Session" WHERE "id" = '${sessionId}'`)
      yield* fill(server.databaseFile, String(owner?.["accountId"]), sessionId)

      const load = yield* stage.load()
      const began = Date.now()
      yield* Effect.sleep(idleMillis)
      const heavyFrom = Date.now()
      const answers: Array<Device.Answer> = []
      yield* Effect.forEach(
        Array.from({ length: readerCount }, (_, index) => index),
        (index) => readOn(heavy, sessionId, index, answers),
        { concurrency: "unbounded", discard: true }
      ).pipe(Effect.timeoutOption(heavyMillis))
      const heavyTo = Date.now()
      yield* load.stop

      const during = (from: number, to: number) => {
        const entries = load.entries()
        return {
          registrations: AckFile.latencies(AckFile.between(AckFile.of(entries, "registration"), from, to)),
          probes: AckFile.latencies(AckFile.between(AckFile.of(entries, "probe"), from, to))
        }
      }
      const idle = during(began, heavyFrom)
      const busy = during(heavyFrom, heavyTo)
      const doubt =
        idle.probes.worst <= liveLimitMillis / 2
          ? undefined
          : `an answer that it lives took ${idle.probes.worst} ms without the readers already`
      const refusals = answers.filter(({ status }) => status !== 200)
      return [
        Observe.figure("reads answered, and of these refused", `${answers.length}, ${refusals.length}`),
        Observe.excused(doubt, Observe.atLeast("reads answered", answers.length - refusals.length, readerCount)),
        Observe.none(
          "answers other than 200, or 503 with the time to come back",
          answers.filter((answer) => !isProper(answer)).map(({ status }) => status)
        ),
        Observe.figure("registrations without the readers, p99", `${idle.registrations.p99} ms`),
        Observe.unless(
          doubt,
          Observe.atMost(
            "registrations meanwhile, p99",
            busy.registrations.p99,
            2 * idle.registrations.p99 + Box.stretched(50),
            "ms"
          )
        ),
        Observe.excused(
          doubt,
          Observe.atMost("slowest registration", busy.registrations.worst, Stage.controlDeadlineMillis, "ms")
        ),
        Observe.figure("slowest answer that it lives, without the readers", `${idle.probes.worst} ms`),
        Observe.excused(doubt, Observe.atMost("slowest answer that it lives", busy.probes.worst, liveLimitMillis, "ms"))
      ]
    })
}
