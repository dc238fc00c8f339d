/** A schema for one run. It belongs to the process that started the run, so that it goes whatever the run does. */
import { Effect, type Scope } from "effect"
import { Client } from "pg"
import type { Scenario } from "../Scenario.ts"
import * as PostgresAddress from "./PostgresAddress.ts"
import type { Server } from "./PostgresServer.ts"
import { slowDisk } from "./PostgresServer.ts"

let count = 0

const execute = async (url: string, ...texts: ReadonlyArray<string>): Promise<void> => {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: 5_000,
    application_name: "contention-lab"
  })
  client.on("error", () => undefined)
  await client.connect()
  try {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    for (const text of texts) await client.query(text)
  } finally {
    await client.end()
  }
}

/**
 * Its address: the server, with the schema as the place of all tables, and the settings of the scenario. When the scope
 * closes, connections to it that a killed process left behind are ended first: they may hold locks.
 */
export const make = (
  { url }: Pick<Server, "url">,
  { disk }: Pick<Scenario, "disk">
): Effect.Effect<string, never, Scope.Scope> =>
  Effect.suspend(() => {
    const schema = `contention_lab_${process.pid}_${++count}`
    const leave = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '${schema}'`
    const address = new URL(
      PostgresAddress.withSettings(url, { search_path: schema, ...(disk === "slow" ? slowDisk : {}) })
    )
    address.searchParams.set("application_name", schema)
    return Effect.acquireRelease(
      Effect.promise(() => execute(url, `CREATE SCHEMA ${schema}`)),
      () =>
        Effect.promise(() => execute(url, leave, "SET client_min_messages = warning", `DROP SCHEMA ${schema} CASCADE`))
    ).pipe(Effect.as(address.href.replaceAll("+", "%20")))
  })

/** The name under which connections to the schema at `url` are listed. */
export const nameOf = (url: string): string => new URL(url).searchParams.get("application_name") ?? "contention-lab"
