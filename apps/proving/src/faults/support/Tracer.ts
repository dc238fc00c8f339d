/**
 * strace, attached to the running server: system calls of all its threads fail
 * or wait as asked, until the scope closes.
 */
import { Deferred, Effect, type Scope } from "effect"
import { spawn } from "node:child_process"
import * as ChildProgram from "./ChildProgram.ts"

export interface Tracer {
  /** How many calls were tampered with. */
  readonly injectedCount: () => number
}

export const attach = (pid: number, options: ReadonlyArray<string>): Effect.Effect<Tracer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const attached = yield* Deferred.make<void>()
    let output = ""
    // Asked to end, it lets go of the server first.
    const { begun, child } = yield* ChildProgram.run(() => {
      const child = spawn("strace", ["-f", "-p", String(pid), ...options], { stdio: ["ignore", "ignore", "pipe"] })
      child.stderr.on("data", (data) => {
        output += String(data)
        if (output.includes(" attached")) Deferred.unsafeDone(attached, Effect.void)
      })
      return child
    }, "SIGINT")
    yield* begun(attached, () => `strace ended with ${child.exitCode}: ${output}`)
    return { injectedCount: () => output.split("INJECTED").length + output.split("DELAYED").length - 2 }
  })
