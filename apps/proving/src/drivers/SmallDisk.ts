/** A file system in memory, of its own size. Only for the super-user. */
import { Effect, type Scope } from "effect"
import { execFileSync } from "node:child_process"
import * as TemporaryDirectory from "./TemporaryDirectory.ts"

/** Its directory. It is gone when the scope closes. */
export const make = (size: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.tap(TemporaryDirectory.make, (directory) =>
    Effect.acquireRelease(
      Effect.sync(() => execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", directory])),
      () => Effect.sync(() => execFileSync("umount", ["--lazy", directory]))
    )
  )

export const isPossible: Effect.Effect<boolean> = Effect.match(Effect.sandbox(Effect.scoped(make("1m"))), {
  onFailure: () => false,
  onSuccess: () => true
})
