/** The statements of the leases of replicas in PostgreSQL. Each judges times by the clock of the database. */
import { quote } from "../../sqlite/internal/tableNames.ts"

export const table = quote("Replica")

/** When the statement began, in epoch milliseconds. */
export const nowMillis = "(extract(epoch FROM statement_timestamp()) * 1000)::bigint"

/** How long a lease that has ended is remembered, so that its rows are found. */
const rememberedMillis = 3_600_000

export const ddl = `CREATE TABLE IF NOT EXISTS ${table} (
  epoch TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  "startedAt" BIGINT NOT NULL,
  "beatAt" BIGINT NOT NULL
) WITH (fillfactor = 50);
`

/** Parameter: the epoch. Returns the time of the database. */
const begin = `INSERT INTO ${table} (epoch, "startedAt", "beatAt")
VALUES ($1::text, ${nowMillis}, ${nowMillis}) RETURNING "beatAt"::float8 AS now`

/** Parameters: the epoch, and how long a lease holds. Returns the time of the database, if the lease held. */
const beat = `UPDATE ${table} SET "beatAt" = ${nowMillis}
WHERE epoch = $1::text AND "beatAt" >= ${nowMillis} - $2::bigint RETURNING "beatAt"::float8 AS now`

/** The same parameters. */
const end = `UPDATE ${table} SET "beatAt" = ${nowMillis} - $2::bigint - 1
WHERE epoch = $1::text AND "beatAt" >= ${nowMillis} - $2::bigint`

/** Parameter: the lease and the grace. */
export const remove = `DELETE FROM ${table} WHERE "beatAt" < ${nowMillis} - $1::bigint - ${rememberedMillis}`

export const leases = { begin, beat, end }
