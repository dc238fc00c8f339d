/** A case of a contract, apart from the runner it runs under. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export interface ContractCase<World> {
  readonly title: string
  readonly run: (world: World) => Effect.Effect<void, unknown, Scope.Scope>
}

/** What a test runner brings: Vitest, Jest and `node:test` all do. */
export interface TestRunner {
  readonly describe: (name: string, body: () => void) => unknown
  readonly it: (title: string, body: () => Promise<void>) => unknown
}

export const contractCase =
  <World>() =>
  (title: string, run: ContractCase<World>["run"]): ContractCase<World> => ({ title, run })

/** Registers the cases; `inWorld` runs one of them in a world that it makes. */
export const runCases = <World>(
  { describe, it }: TestRunner,
  name: string,
  cases: ReadonlyArray<ContractCase<World>>,
  inWorld: (run: ContractCase<World>["run"]) => Effect.Effect<void, unknown>
): void => {
  describe(name, () => {
    for (const { run, title } of cases) it(title, () => Effect.runPromise(inWorld(run)))
  })
}
