/**
 * Orders to the threads of the built server, through a module that is loaded
 * before it.
 */
import { Effect, type Scope } from "effect"
import fs from "node:fs"
import path from "node:path"
import type { Server } from "../../drivers/BuiltServer.ts"
import * as TemporaryDirectory from "../../drivers/TemporaryDirectory.ts"

const entry = new URL("hookEntry.mjs", import.meta.url).href

/** The main thread unless a name is given. */
export type Order =
  | { readonly action: "stall"; readonly millis: number; readonly thread?: string }
  | { readonly action: "die"; readonly thread: string }
  /** As many pages as the database may have; no more than there are when 0. */
  | { readonly action: "cap"; readonly pages: number; readonly thread: string }

export interface Hook {
  /** What the server must be started with. */
  readonly environment: Readonly<Record<string, string>>
  readonly order: (server: Server, order: Order) => Effect.Effect<void>
}

/** The thread that has the write connection. */
export const writerThread = "sqlite-writer"

export const make: Effect.Effect<Hook, never, Scope.Scope> = Effect.gen(function* () {
  const file = path.join(yield* TemporaryDirectory.make, "order.json")
  return {
    environment: { NODE_OPTIONS: `--import=${entry}`, FAULT_ORDER_FILE: file },
    order: (server, order) =>
      Effect.suspend(() => {
        fs.writeFileSync(file, JSON.stringify(order))
        return server.signal("SIGUSR2")
      })
  }
})
