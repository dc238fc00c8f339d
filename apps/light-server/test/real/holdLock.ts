/**
 * Holds the lock of a database in a process of its own until it is killed. Argument: the database.
 */
import { Effect } from "effect"
import * as InstanceLock from "../../src/opening/InstanceLock.ts"

InstanceLock.hold(process.argv[2] ?? "").pipe(
  Effect.zipRight(Effect.sync(() => process.stdout.write("held\n"))),
  Effect.zipRight(Effect.never),
  Effect.scoped,
  Effect.runFork
)
