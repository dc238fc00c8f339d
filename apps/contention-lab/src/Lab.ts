/** All runs of one call: which run beside which, in which databases, and nothing left behind. */
import { Effect, type Scope } from "effect"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import type { Figures } from "./Figures.ts"
import * as PostgresSchema from "./postgres/PostgresSchema.ts"
import type { Server } from "./postgres/PostgresServer.ts"
import * as Scenario from "./Scenario.ts"
import { entryOf } from "./strategies/Catalogue.ts"
import * as StrategyProcess from "./StrategyProcess.ts"

/** With more sessions the strategies would be in each other's way, so each runs on its own. */
const sideBySideMax = 50

type Group = readonly [Scenario.Scenario, ...ReadonlyArray<Scenario.Scenario>]

/**
 * Scenarios that run at the same time, each group after the other. Those behind round trips wait most of the time, and
 * do so together; those that work in their own process have the machine for themselves meanwhile. On a database server
 * each runs on its own: they would share its processors and its disk.
 */
export const groupsOf = (scenarios: ReadonlyArray<Scenario.Scenario>): ReadonlyArray<Group> => {
  const groups = new Map<string, [Scenario.Scenario, ...Array<Scenario.Scenario>]>()
  for (const scenario of scenarios) {
    const { database, sessionCount, strategy } = scenario
    const isAlone = sessionCount > sideBySideMax || database === "postgres"
    const companions = entryOf(strategy).place === "behind round trips" ? "away" : "here"
    const name = `${sessionCount} ${isAlone ? strategy : companions}`
    const group = groups.get(name)
    if (group === undefined) groups.set(name, [scenario])
    else group.push(scenario)
  }
  return [...groups.values()]
}

export interface Progress {
  /** Of all runs, from 0 to 1. */
  readonly share: number
  readonly label: string
}

/** Removed whatever happens, also while a dying process still writes into it. */
const directory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(() => fs.mkdtemp(path.join(os.tmpdir(), "contention-lab-"))),
  (folder) => Effect.promise(() => fs.rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }))
)

type Report = (progress: Progress) => void

const counting = (from: number, step: number, label: string, seconds: number, report: Report): Effect.Effect<never> => {
  const startedAt = performance.now()
  return Effect.sync(() => {
    const share = Math.min(1, (performance.now() - startedAt) / 1_000 / seconds)
    report({ share: from + step * share, label })
  }).pipe(Effect.delay("200 millis"), Effect.forever)
}

/** Makes a database for a scenario of a group, for as long as the group runs. */
type MakeTarget = (scenario: Scenario.Scenario) => Effect.Effect<string, never, Scope.Scope>

const inFiles = Effect.map(
  directory,
  (folder): MakeTarget =>
    ({ sessionCount, strategy }) =>
      Effect.succeed(path.join(folder, `${strategy}-${sessionCount}.sqlite`))
)

const runGroup = (makeTarget: MakeTarget, group: Group) =>
  Effect.scoped(
    Effect.gen(function* () {
      // Before the processes, so that these are gone when it is taken down.
      const targets = yield* Effect.forEach(group, (scenario) =>
        Effect.map(makeTarget(scenario), (target) => ({ scenario, target }))
      )
      const processes = yield* Effect.forEach(targets, ({ scenario, target }) => StrategyProcess.make(scenario, target))
      yield* Effect.forEach(processes, ({ ready }) => ready, { concurrency: "unbounded", discard: true })
      yield* Effect.forEach(processes, ({ go }) => go, { discard: true })
      return yield* Effect.forEach(processes, ({ figures }) => figures, { concurrency: "unbounded" })
    })
  )

const labelOf = (group: Group): string => {
  const [{ sessionCount, strategy }] = group
  return `${sessionCount} sessions, ${group.length === 1 ? strategy : `${group.length} strategies side by side`}`
}

/** Figures in the order in which the groups ran. `server`: where the scenarios are for one. */
export const run = (
  scenarios: ReadonlyArray<Scenario.Scenario>,
  server: Server | undefined,
  report: Report
): Effect.Effect<ReadonlyArray<Figures>, StrategyProcess.StrategyCrashed> =>
  Effect.scoped(
    Effect.gen(function* () {
      const makeTarget: MakeTarget =
        server === undefined ? yield* inFiles : (scenario) => PostgresSchema.make(server, scenario)
      const groups = groupsOf(scenarios)
      const figures = yield* Effect.forEach(groups, (group, index) => {
        const step = 1 / groups.length
        // Three seconds to start; the tail is as long as the slowest needs.
        const seconds = 3 + Scenario.loadMillis({ seconds: group[0].seconds }) / 1_000
        const counted = counting(index * step, step, labelOf(group), seconds, report)
        return Effect.raceFirst(runGroup(makeTarget, group), counted)
      })
      report({ share: 1, label: "done" })
      return figures.flat()
    })
  )
