/** F14: another process reads and does not end its transaction. */
import Sqlite from "better-sqlite3"
import { Effect } from "effect"
import fs from "node:fs"
import * as Eventually from "../../drivers/Eventually.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Disturbance from "../support/Disturbance.ts"
import * as Stage from "../support/Stage.ts"

const limitBytes = 262_144

/** A read transaction that stays open until the scope closes. */
const pin = (file: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const sqlite = new Sqlite(file, { readonly: true })
      sqlite.exec("BEGIN; SELECT count(*) FROM Machine")
      return sqlite
    }),
    (sqlite) => Effect.sync(() => sqlite.close())
  )

export const F14PinnedReader: Scenario = {
  id: "F14",
  title: "a reader pins the write-ahead log",
  injected: "another connection begins to read and does not end, for 4 s; the log may have 256 KiB",
  promises: ["P1", "P7", "P10", "P16"],
  needs: [],
  isQuick: true,
  within: "90 seconds",
  run: () =>
    Effect.gen(function* () {
      const stage = yield* Stage.open({
        environment: {
          HAPPIER_SQLITE_WAL_CHECKPOINT_INTERVAL_MS: "500",
          HAPPIER_SQLITE_JOURNAL_SIZE_LIMIT_BYTES: String(limitBytes)
        }
      })
      const { server } = stage
      const walBytes = () => fs.statSync(`${server.databaseFile}-wal`).size
      const disturbed = yield* Disturbance.run(stage, {
        inject: pin(server.databaseFile),
        holdMillis: 4000,
        load: { registrationsPerSecond: 60, messagesPerSecond: 60 }
      })
      const pinnedBytes = disturbed.shaken.value("sqlite_wal_bytes")
      const emptied = yield* Eventually.until(Effect.sync(walBytes), (bytes) => bytes <= limitBytes, "20 seconds")
      return [
        Observe.atMost("log after the reader ended", emptied.answer, limitBytes, "bytes"),
        Observe.yes("the log names the pin", server.output().includes("a reader pins the write-ahead log")),
        Observe.atLeast("log while it was pinned, by its metric", pinnedBytes, limitBytes, "bytes"),
        Observe.none(
          "refused registrations",
          disturbed.during.registrations.filter(({ status }) => status !== 200)
        ),
        ...Disturbance.common(stage, disturbed, [])
      ]
    })
}
