/**
 * What nearly every scenario requires in the end.
 */
import { Effect } from "effect"
import type { Server } from "../../drivers/BuiltServer.ts"
import * as Eventually from "../../drivers/Eventually.ts"
import * as Observe from "../Observe.ts"
import type { Observation } from "../Scenario.ts"
import * as AckFile from "./AckFile.ts"
import * as Auditor from "./Auditor.ts"
import * as Box from "./Box.ts"
import type { Load } from "./LoadGenerator.ts"
import * as Stage from "./Stage.ts"

/** The file holds what was acknowledged. Asked once the load has stopped. */
export const kept = (
  server: Pick<Server, "rows">,
  entries: ReadonlyArray<AckFile.Entry>
): ReadonlyArray<Observation> => {
  const { acknowledgedCount, integrity, lost, torn } = Auditor.audit(server, entries)
  return [
    Observe.atLeast("acknowledged registrations and messages", acknowledgedCount, 1),
    Observe.none("of these not in the file", lost),
    Observe.none("messages twice or out of order", torn),
    Observe.equal("integrity of the file", integrity, "ok")
  ]
}

/** The port is closed, or the process that listened is gone: clients come back. */
const isHangUp = /ECONNREFUSED|ECONNRESET|EPIPE|UND_ERR_SOCKET|UND_ERR_ABORTED/

/**
 * Every request was answered in time: with success, or with a refusal that contains the reason and when to come back.
 */
export const answered = (
  registrations: ReadonlyArray<AckFile.Registration>,
  codes: ReadonlyArray<string>,
  mayBeDown = false
): ReadonlyArray<Observation> => {
  const refusals = registrations.filter(({ status }) => status !== 200)
  const isProper = ({ code, retryAfter, status }: AckFile.Registration) =>
    status === 503 ? codes.includes(code) && Number(retryAfter) > 0 : mayBeDown && status === 0 && isHangUp.test(code)
  const { p99, worst } = AckFile.latencies(registrations)
  const limit = Stage.registrationLimitMillis + Box.marginMillis()
  return [
    Observe.figure("registrations meanwhile", `${registrations.length}, refused ${refusals.length}, p99 ${p99} ms`),
    Observe.atMost("slowest answer", worst, limit, "ms"),
    Observe.none(
      `refusals other than ${codes.join(", ")}`,
      refusals.filter((each) => !isProper(each))
    )
  ]
}

/** The process answered its liveness checks all the time. */
export const alive = (probes: ReadonlyArray<AckFile.Probe>): ReadonlyArray<Observation> => [
  Observe.none(
    "unanswered questions whether it lives",
    probes.filter(({ status }) => status !== 200)
  ),
  Observe.figure(
    "clients asked late by at most",
    Math.max(0, ...probes.map(({ lateMillis }) => Math.round(lateMillis)))
  ),
  Observe.atMost("slowest answer that it lives", AckFile.latencies(probes).worst, Box.marginMillis(), "ms")
]

/** How long it takes after a fault until a registration succeeds and readiness passes again. */
export const recovered = (server: Server, load: Load, since: number, downMillis = 0) =>
  Effect.gen(function* () {
    const within = "30 seconds"
    yield* Eventually.until(
      Effect.sync(() => AckFile.between(AckFile.of(load.entries(), "registration"), since)),
      (registrations) => registrations.some(({ status }) => status === 200),
      within
    )
    const registeredMillis = Date.now() - since
    yield* Eventually.until(Stage.readiness(server), (status) => status === 200, within)
    const readyMillis = Date.now() - since
    // The server checks itself every two seconds. One that has ended needs a second, and its start.
    const limit = 2 * 2000 + Box.marginMillis() + Box.stretched(downMillis)
    return [
      Observe.atMost("registered again after", registeredMillis, limit, "ms"),
      Observe.atMost("ready again after", readyMillis, limit, "ms")
    ]
  })

/** How long it takes until the rows of all sessions are as new as their heartbeats before a moment. */
export const presenceCurrent = (server: Server, load: Load, since: number, downMillis = 0) =>
  Effect.gen(function* () {
    yield* Eventually.until(
      Effect.sync(() => Auditor.presenceLostMillis(server, load.entries(), since)),
      (lost) => lost === 0,
      "30 seconds"
    )
    return Observe.atMost(
      "presence current again after",
      Date.now() - since,
      2 * Stage.tickMillis + Box.marginMillis() + Box.stretched(downMillis),
      "ms"
    )
  })
