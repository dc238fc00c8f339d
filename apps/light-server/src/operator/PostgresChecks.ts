/** Checks of a PostgreSQL database: it can be used, and its schema fits. Nothing is written. */
import { Effect } from "effect"
import type { PostgresAddress } from "../PostgresAddress.ts"
import * as PostgresMigrator from "../postgres/PostgresMigrator.ts"
import * as Finding from "./Finding.ts"

const check = { code: "D208", name: "PostgreSQL" }

export const run = (address: PostgresAddress): Effect.Effect<ReadonlyArray<Finding.Finding>> =>
  Effect.match(PostgresMigrator.pending(address), {
    onFailure: ({ message }) => [
      Finding.problem(check, {
        found: message,
        cause: "the server does not start",
        fix: "correct DATABASE_URL or the database; docs/postgresql.md says what it needs"
      })
    ],
    onSuccess: (missing) => [
      missing.length === 0
        ? Finding.ok(check, `${address.place} is up to date`)
        : Finding.warning(check, {
            found: `${address.place} needs the migrations ${missing.join(", ")}`,
            cause: "the next start applies them",
            fix: "make a backup with pg_dump before it"
          })
    ]
  })
