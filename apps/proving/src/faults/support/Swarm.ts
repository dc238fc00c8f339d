/**
 * Many clients that come back by themselves.
 */
import { Effect, type Scope } from "effect"
import readline from "node:readline"
import { fileURLToPath } from "node:url"
import * as ChildProgram from "./ChildProgram.ts"

const entry = fileURLToPath(new URL("swarmEntry.ts", import.meta.url))

export interface Counts {
  readonly connected: number
  /** Since the beginning. */
  readonly connections: number
  /** How often one of them received that a row is offline. */
  readonly offline: number
}

/** Begins to connect, and stays until the scope closes. */
export const start = (options: {
  readonly url: string
  readonly count: number
  readonly tokens: ReadonlyArray<string>
  readonly sessionIds: ReadonlyArray<ReadonlyArray<string>>
}): Effect.Effect<() => Counts, never, Scope.Scope> =>
  Effect.gen(function* () {
    let counts: Counts = { connected: 0, connections: 0, offline: 0 }
    yield* ChildProgram.run(() => {
      const child = ChildProgram.node(ChildProgram.typescript(entry, options))
      readline.createInterface(child.stdout).on("line", (line) => (counts = JSON.parse(line) as Counts))
      return child
    })
    return () => counts
  })
