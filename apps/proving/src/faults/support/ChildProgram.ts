/**
 * A program that runs beside the scenario, in a process of its own, and ends
 * with the scope.
 */
import { Deferred, Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { tsx } from "../../drivers/Tsx.ts"

/** The arguments with which Node runs a module that is written in TypeScript. */
export const typescript = (entry: string, options: object): ReadonlyArray<string> => [
  "--import",
  tsx,
  entry,
  JSON.stringify(options)
]

/** A process of Node that ends when its input does, and reports on its output. */
export const node = (args: ReadonlyArray<string>) =>
  spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] })

export interface ChildProgram<Child> {
  readonly child: Child
  readonly ended: Effect.Effect<void>
  /** Waits for the sign that it has begun. Dies with its output when it ends instead. */
  readonly begun: (sign: Deferred.Deferred<void>, words: () => string) => Effect.Effect<void>
}

/** Starts it. It ends by the signal when the scope closes; one that must tidy up needs another than SIGKILL. */
export const run = <Child extends ChildProcess>(
  start: () => Child,
  signal: NodeJS.Signals = "SIGKILL"
): Effect.Effect<ChildProgram<Child>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const ended = yield* Deferred.make<void>()
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const child = start()
        child.once("close", () => Deferred.unsafeDone(ended, Effect.void))
        return child
      }),
      (child) =>
        Effect.zipRight(
          Effect.sync(() => child.kill(signal)),
          Deferred.await(ended)
        )
    )
    return {
      child,
      ended: Deferred.await(ended),
      begun: (sign, words) =>
        Effect.raceFirst(
          Deferred.await(sign),
          Effect.zipRight(
            Deferred.await(ended),
            Effect.suspend(() => Effect.dieMessage(words()))
          )
        )
    }
  })
