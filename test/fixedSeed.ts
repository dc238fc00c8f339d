/** Gives every property the same inputs in each run. What fails prints its seed; `TEST_SEED` sets it. */
import * as FastCheck from "effect/FastCheck"

FastCheck.configureGlobal({ ...FastCheck.readConfigureGlobal(), seed: Number(process.env["TEST_SEED"] ?? 1) })
