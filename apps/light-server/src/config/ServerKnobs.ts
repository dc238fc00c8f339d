/** The settings of the process: its directory, its secret, its log and its end. */
import { Either, Redacted } from "effect"
import * as Knob from "../ConfigKnob.ts"
import { logLevels } from "../LogLevels.ts"

export const knobs = {
  dataDirectory: Knob.make(
    "HAPPIER_SERVER_LIGHT_DATA_DIR",
    {
      fallback: "~/.happier/server-light",
      allowed: "a directory",
      meaning: "The directory of the database and the secret. Created with mode 0700."
    },
    Either.right<string>
  ),
  masterSecret: Knob.make<Redacted.Redacted | undefined>(
    "HANDY_MASTER_SECRET",
    {
      fallback: undefined,
      allowed: "16 characters or more",
      isSecret: true,
      meaning:
        "The seed of the tokens. Unset: `handy-master-secret.txt` in the data directory, made at the first start."
    },
    (text) => (text.length >= 16 ? Either.right(Redacted.make(text)) : Either.left(""))
  ),
  metricsEnabled: Knob.flag("METRICS_ENABLED", {
    fallback: true,
    meaning: "Serve `/metrics`, on the same port; `HAPPIER_METRICS_ACCESS` decides to whom."
  }),
  logLevel: Knob.choice("HAPPIER_LOG_LEVEL", logLevels, {
    fallback: "info",
    meaning: "The lowest level that is logged. Answers with a status below 400 are `debug`."
  }),
  shutdownTimeoutMillis: Knob.integer("HAPPIER_SHUTDOWN_TIMEOUT_MS", {
    fallback: 10_000,
    min: 3000,
    max: 120_000,
    unit: "ms",
    meaning: "Longest time from a signal to the end of the process."
  })
}
