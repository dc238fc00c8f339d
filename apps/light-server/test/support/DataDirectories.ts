/** Data directories of their own, which are gone after the test. */
import { Effect, Layer, Redacted } from "effect"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"
import { DataDirectory } from "../../src/opening/DataDirectory.ts"

export const temporary = (masterSecret: string): Layer.Layer<DataDirectory> =>
  Layer.scoped(
    DataDirectory,
    Effect.map(TemporaryDirectory.make, (path) => ({ path, masterSecret: Redacted.make(masterSecret) }))
  )

export const at = (path: string): Layer.Layer<DataDirectory> =>
  Layer.succeed(DataDirectory, { path, masterSecret: Redacted.make("unused") })
