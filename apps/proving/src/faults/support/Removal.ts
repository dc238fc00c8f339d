/**
 * A file is removed from under the server, which must notice: SQLite does not,
 * and would go on confirming writes that can never be read.
 */
import { Effect, Option } from "effect"
import * as Eventually from "../../drivers/Eventually.ts"
import * as Observe from "../Observe.ts"
import * as AckFile from "./AckFile.ts"
import * as Box from "./Box.ts"
import * as Stage from "./Stage.ts"

/** How often the server looks at its files. */
const watchMillis = 2000

/** The file that is at the path now is not read: what was acknowledged in between is known to be lost. */
export const run = (name: string, remove: (databaseFile: string) => void) =>
  Effect.gen(function* () {
    const stage = yield* Stage.open()
    const { server } = stage
    const load = yield* stage.load()
    yield* Eventually.until(
      Effect.sync(() => AckFile.of(load.entries(), "registration").length),
      (count) => count > 10
    )
    remove(server.databaseFile)
    const removedAt = Date.now()
    const ended = yield* Effect.timeoutOption(server.ended, Box.stretched(10_000))
    const endMillis = Date.now() - removedAt
    yield* load.stop
    const acknowledged = AckFile.of(load.entries(), "registration").filter(
      ({ due, status, millis }) => status === 200 && due + millis > removedAt
    )
    const lastMillis = Math.max(0, ...acknowledged.map(({ due, millis }) => due + millis - removedAt))
    return [
      Observe.figure("acknowledged after the removal", acknowledged.length),
      Observe.atMost("last acknowledgement after the removal", lastMillis, watchMillis + Box.marginMillis(), "ms"),
      Observe.equal(
        "exit code",
        Option.match(ended, { onNone: () => "still running", onSome: ({ code }) => code ?? -1 }),
        4
      ),
      Observe.atMost("ended after", endMillis, watchMillis + Box.stretched(5000), "ms"),
      Observe.yes("the log says why", /moved|deleted|replaced/.test(server.output()))
    ].map((each) => ({ ...each, name: `${name}: ${each.name}` }))
  }).pipe(Effect.scoped)
