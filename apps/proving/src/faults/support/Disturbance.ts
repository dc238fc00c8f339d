/**
 * A fault that begins, lasts for a while and ends, under a load that goes on.
 */
import { Effect, Schedule, type Scope } from "effect"
import { type Scrape, scrape } from "../../drivers/Scrape.ts"
import * as Observe from "../Observe.ts"
import type { Observation } from "../Scenario.ts"
import * as AckFile from "./AckFile.ts"
import type { LoadOptions } from "./LoadGenerator.ts"
import * as Stage from "./Stage.ts"
import * as Verdicts from "./Verdicts.ts"

export interface Disturbed<A> {
  /** What the injection answered with. */
  readonly injected: A
  /** Everything the load recorded, until after the recovery. */
  readonly entries: ReadonlyArray<AckFile.Entry>
  /** What was due before the fault, while it lasted, and after it. */
  readonly before: Due
  readonly during: Due
  readonly after: Due
  /** The metrics before the fault, and at its end. */
  readonly calm: Scrape
  readonly shaken: Scrape
  /** Status of the readiness check at the end of the fault. */
  readonly readiness: number
  /** How long everything took to be good again. */
  readonly recovered: ReadonlyArray<Observation>
}

export interface Due {
  readonly registrations: ReadonlyArray<AckFile.Registration>
  readonly messages: ReadonlyArray<AckFile.Message>
  readonly probes: ReadonlyArray<AckFile.Probe>
}

const due = (entries: ReadonlyArray<AckFile.Entry>, from: number, to: number): Due => ({
  registrations: AckFile.between(AckFile.of(entries, "registration"), from, to),
  messages: AckFile.between(AckFile.of(entries, "message"), from, to),
  probes: AckFile.between(AckFile.of(entries, "probe"), from, to)
})

/** Lets the load run for a moment, does it, waits `holdMillis`, undoes it, and waits until all is good again. */
export const run = <A, E>(
  stage: Stage.Stage,
  options: {
    /** The fault ends when its scope closes. */
    readonly inject: Effect.Effect<A, E, Scope.Scope>
    readonly holdMillis: number
    readonly load?: Partial<LoadOptions>
    /** The server cannot answer meanwhile, so it is asked afterwards. */
    readonly isDeaf?: boolean
    /** How long it may still be down after the fault. */
    readonly downMillis?: number
  }
): Effect.Effect<Disturbed<A>, E> =>
  Effect.gen(function* () {
    const { server } = stage
    const load = yield* stage.load(options.load)
    const began = Date.now()
    yield* Effect.sleep(1000)
    const calm = yield* scrape(server.url)
    const look = Effect.all({ readiness: Stage.readiness(server), shaken: scrape(server.url) })
    const { from, injected, seen } = yield* Effect.scoped(
      Effect.gen(function* () {
        const injected = yield* options.inject
        const from = Date.now()
        yield* Effect.sleep(options.holdMillis)
        return { from, injected, seen: options.isDeaf === true ? undefined : yield* look }
      })
    )
    const to = Date.now()
    // It may be on its way up again.
    const { readiness, shaken } =
      seen ??
      (yield* Effect.orDie(Effect.retry(Effect.sandbox(look), { schedule: Schedule.spaced("100 millis"), times: 300 })))
    const downMillis = options.downMillis ?? 0
    const current = yield* Verdicts.presenceCurrent(server, load, to, downMillis)
    const recovered = [...(yield* Verdicts.recovered(server, load, to, downMillis)), current]
    yield* load.stop
    const entries = load.entries()
    return {
      injected,
      entries,
      before: due(entries, began, from),
      during: due(entries, from, to),
      after: due(entries, to, Infinity),
      calm,
      shaken,
      readiness,
      recovered
    }
  }).pipe(Effect.scoped)

/** What holds for every fault: it answers, it keeps what it acknowledged, and it recovers alone. */
export const common = (
  stage: Stage.Stage,
  disturbed: Disturbed<unknown>,
  codes: ReadonlyArray<string>
): ReadonlyArray<Observation> => {
  const { calm, during, entries, recovered, shaken } = disturbed
  return [
    ...Verdicts.answered(during.registrations, codes),
    ...Verdicts.alive(during.probes),
    Observe.atMost("worst gap of the event loop", shaken.loopGapMillis, Stage.loopGapLimitMillis(calm), "ms"),
    ...recovered,
    ...Verdicts.kept(stage.server, entries)
  ]
}

/** The same where the disk itself fails: the server may end, for a supervisor to start it again. */
export const supervised = (
  stage: Stage.Stage,
  disturbed: Disturbed<unknown>,
  codes: ReadonlyArray<string>
): ReadonlyArray<Observation> => [
  Observe.figure("processes that ended", stage.ends.length),
  Observe.none(
    "exit codes other than 4",
    stage.ends.filter((code) => code !== 4)
  ),
  ...Verdicts.answered(disturbed.during.registrations, [...codes, "Draining"], true),
  ...disturbed.recovered,
  ...Verdicts.kept(stage.server, disturbed.entries)
]

/** Codes of a writer that cannot keep up, whatever the reason. */
export const overload = ["PermitTimeout", "LaneOverflow", "WriteUnconfirmed"] as const

export const refusedCount = ({ registrations }: Due): number =>
  registrations.filter(({ status }) => status !== 200).length
