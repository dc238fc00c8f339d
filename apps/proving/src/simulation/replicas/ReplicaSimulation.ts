/** One seed: three replicas, their clients, and what goes wrong. */
import { Cluster } from "./Cluster.ts"
import { type Counts, PromiseAuditor } from "./PromiseAuditor.ts"
import * as Scenario from "./ReplicaScenario.ts"
import { ReplicaStage } from "./ReplicaStage.ts"

export interface Outcome {
  readonly seed: number
  readonly violation: string | undefined
  readonly digest: string
  readonly lineCount: number
  readonly elapsedMillis: number
  readonly counts: Counts
}

const second = 1_000

export const run = (seed: number, print?: (line: string) => void): Outcome => {
  const scenario = Scenario.make(seed)
  const stage = new ReplicaStage(scenario, print)
  const auditor = new PromiseAuditor(stage)
  const cluster = new Cluster(stage, auditor)
  auditor.cluster = cluster
  const runUntil = (untilMillis: number): void => {
    while (stage.violation() === undefined && stage.time.elapsedMillis() < untilMillis) {
      stage.time.runUntil(Math.min(untilMillis, stage.time.elapsedMillis() + second))
      stage.audit(() => auditor.look())
    }
  }
  for (const { atMillis, trouble } of scenario.steps) {
    runUntil(atMillis)
    cluster.cause(trouble)
  }
  runUntil(scenario.endMillis)
  stage.trace.note("--- everybody leaves")
  for (const client of cluster.clients) client.leaveForGood()
  runUntil(scenario.endMillis + 150 * second)
  if (stage.violation() === undefined) stage.audit(() => auditor.demandRest())
  return {
    seed,
    violation: stage.violation()?.message,
    digest: stage.trace.digest(),
    lineCount: stage.trace.lineCount(),
    elapsedMillis: stage.time.elapsedMillis(),
    counts: auditor.counts
  }
}
