import { assert, describe, it } from "@effect/vitest"
import * as PostgresAddress from "../src/postgres/PostgresAddress.ts"

describe("PostgresAddress", () => {
  it("shows an address without user and password", () => {
    assert.strictEqual(
      PostgresAddress.shown("postgres://me:s3cret@db.internal:6432/lab?sslmode=disable"),
      "postgres://db.internal:6432/lab"
    )
    assert.strictEqual(PostgresAddress.shown("postgres:///lab?host=/run/postgresql"), "postgres:///run/postgresql/lab")
  })

  it("adds settings to those that an address has", () => {
    const address = PostgresAddress.withSettings("postgres://me@db/lab?options=-c%20work_mem%3D8MB", {
      search_path: "a"
    })
    assert.strictEqual(new URL(address).searchParams.get("options"), "-c work_mem=8MB -c search_path=a")
    // `pg` reads a plus as a plus.
    assert.notInclude(address, "+")
  })

  it("goes through a port of this machine with the same user, database and settings", () => {
    const address = "postgres://me:p%40ss@db.internal:6432/lab?options=-c%20a%3D1&application_name=x"
    assert.strictEqual(
      PostgresAddress.through(address, 7_000),
      "postgres://me:p%40ss@127.0.0.1:7000/lab?options=-c%20a%3D1&application_name=x"
    )
    assert.strictEqual(
      PostgresAddress.through("postgres:///lab?host=/run/postgresql&port=6432", 7_000),
      "postgres://127.0.0.1:7000/lab"
    )
  })

  it("finds the port or the socket of the server", () => {
    const cases = {
      "postgres://me@db.internal/lab": { host: "db.internal", port: 5_432 },
      "postgres://me@[::1]:6432/lab": { host: "::1", port: 6_432 },
      "postgres:///lab?host=/run/postgresql": { path: "/run/postgresql/.s.PGSQL.5432" },
      "postgres://me@%2Frun%2Fpostgresql:6432/lab": { path: "/run/postgresql/.s.PGSQL.6432" }
    }
    for (const [address, endpoint] of Object.entries(cases)) {
      assert.deepStrictEqual(PostgresAddress.endpointOf(address), endpoint)
    }
  })
})
