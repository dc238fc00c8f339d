import * as PostgresReader from "../../src/postgres/PostgresReader.ts"
import { describePostgres, makePostgres } from "../support/postgresWorld.ts"
import { readerSuite } from "../support/readerCases.ts"

describePostgres("PostgresReader", () => {
  readerSuite({
    make: makePostgres,
    open: PostgresReader.make,
    one: "SELECT $1::int AS one",
    slow: "SELECT pg_sleep(60)",
    tooSlow: "Busy"
  })
})
