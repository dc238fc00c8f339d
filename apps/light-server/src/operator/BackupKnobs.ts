/** The settings of backups. */
import { Either } from "effect"
import * as Knob from "../ConfigKnob.ts"

export const knobs = {
  intervalMillis: Knob.integer("HAPPIER_BACKUP_INTERVAL_MS", {
    fallback: 0,
    min: 0,
    max: 2_592_000_000,
    unit: "ms",
    meaning: "Time between two backups that the server makes by itself; 0: it makes none."
  }),
  directory: Knob.make<string | undefined>(
    "HAPPIER_BACKUP_DIR",
    {
      fallback: undefined,
      allowed: "a directory",
      meaning: "Where backups go. Unset: `backups` in the data directory, which does not survive the loss of its disk."
    },
    Either.right<string | undefined>
  ),
  keep: Knob.integer("HAPPIER_BACKUP_KEEP", {
    fallback: 7,
    min: 1,
    max: 10_000,
    unit: "backups",
    meaning: "How many backups are kept. Older ones are deleted once a new one is verified."
  })
}
