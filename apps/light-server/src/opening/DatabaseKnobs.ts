/** The variables behind the protection of the database file. */
import * as Knob from "../ConfigKnob.ts"

export const knobs = {
  freeReserveBytes: Knob.integer("HAPPIER_DISK_RESERVE_BYTES", {
    fallback: "67108864",
    min: 0,
    max: 1_099_511_627_776,
    meaning:
      "Room on the disk that writes leave alone: while less is free they are refused, and go on when a quarter more is."
  }),
  startCheckMillis: Knob.integer("HAPPIER_SQLITE_START_CHECK_MS", {
    fallback: "2000",
    min: 0,
    max: 3_600_000,
    meaning:
      "How long tables are checked for damage at the start; a table that is begun is finished. 0: only that the file " +
      "is a database."
  }),
  restartLimit: Knob.integer("HAPPIER_SQLITE_RESTART_LIMIT", {
    fallback: "5",
    min: 1,
    max: 1000,
    meaning: "Deaths in a row of the thread that writes, after which the server ends."
  })
}

export interface Protection {
  readonly freeReserveBytes: number
  readonly startCheckMillis: number
  readonly restartLimit: number
}

export const protectionOf = ({ freeReserveBytes, restartLimit, startCheckMillis }: Protection): Protection => ({
  freeReserveBytes,
  startCheckMillis,
  restartLimit
})
