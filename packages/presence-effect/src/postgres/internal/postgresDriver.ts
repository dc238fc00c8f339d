/** Connections of `pg`, as the engine and the reader use them. */
import * as Duration from "effect/Duration"
import { Client, type ClientConfig, type QueryConfig, type QueryResult } from "pg"
import {
  type Command,
  type Driver,
  makeEnd,
  makeSteering,
  type Outcome,
  type Session
} from "../../node/internal/serverSession.ts"
import type { Durability } from "../../writer/Durability.ts"
import type { Row } from "../../writer/Write.ts"
import type { PostgresOptions } from "../PostgresOptions.ts"
import { types } from "./postgresValue.ts"
import { faultOf } from "./sqlState.ts"

/** Statements that change rows; of any other `rowCount` counts what it returned. */
const changing = /^(INSERT|UPDATE|DELETE|MERGE)$/

/** A transaction that the server has given up answers a commit with this, and no failure. */
const rolledBack = "ROLLBACK"

const outcomeOf = (command: Command, result: QueryResult | ReadonlyArray<QueryResult>): Outcome => {
  // Several statements in one text have one result each, and nobody asks for them.
  const last = Array.isArray(result) ? result.at(-1) : result
  if (command.sql === "COMMIT" && last?.command === rolledBack) {
    const cause = Object.assign(new Error("the transaction had been given up"), { code: "25P02", severity: "ERROR" })
    return { _tag: "Failed", cause }
  }
  const changes = changing.test(last?.command ?? "") ? (last?.rowCount ?? 0) : 0
  return { _tag: "Done", result: { rows: (last?.rows ?? []) as ReadonlyArray<Row>, changes } }
}

/** In the extended protocol with parameters: it takes one statement, so a text cannot smuggle in a second one. */
const send = (client: Client, { params, sql }: Command): Promise<QueryResult | ReadonlyArray<QueryResult>> =>
  params === undefined
    ? client.query(sql)
    : client.query({ text: sql, values: [...params], queryMode: "extended" } as QueryConfig)

type Answer = QueryResult | ReadonlyArray<QueryResult>

const runAll = async (
  send: (command: Command) => Promise<Answer>,
  commands: ReadonlyArray<Command>
): Promise<ReadonlyArray<Outcome>> => {
  // All of them are on their way before the first has answered. In a transaction that failed the rest is refused.
  const settled = await Promise.allSettled(commands.map(send))
  const outcomes: Array<Outcome> = []
  for (const [index, answer] of settled.entries()) {
    const command = commands[index]
    if (command === undefined) break
    const outcome: Outcome =
      answer.status === "fulfilled" ? outcomeOf(command, answer.value) : { _tag: "Failed", cause: answer.reason }
    outcomes.push(outcome)
    if (outcome._tag === "Failed") break
  }
  return outcomes
}

const sessionOf = (client: Client): Session => {
  const { end, isEnded, unlessEnded } = makeEnd()
  client.on("error", end)
  client.on("end", () => end(new Error("the connection has ended")))
  return {
    run: (commands) => runAll((command) => unlessEnded(send(client, command)), commands),
    isAlive: () => !isEnded(),
    close: () => client.end(),
    destroy: () => {
      end(new Error("the connection was cut off"))
      // `end` would wait for what runs. The driver has no other way to its socket.
      const { connection } = client as unknown as { readonly connection: { readonly stream: { destroy: () => void } } }
      connection.stream.destroy()
    }
  }
}

const connect = async ({
  applicationName = "presence-effect",
  connectTimeout = "2 seconds",
  setup = [],
  tls,
  url
}: PostgresOptions): Promise<Session> => {
  const client = new Client({
    connectionString: url,
    ...(tls === undefined ? {} : { ssl: tls }),
    application_name: applicationName,
    connectionTimeoutMillis: Duration.toMillis(connectTimeout),
    keepAlive: true,
    pipeline: true,
    types
  } as ClientConfig)
  // A connection may break between its opening and its first use.
  client.on("error", () => undefined)
  await client.connect()
  try {
    if (setup.length > 0) await client.query(setup.join("; "))
  } catch (cause) {
    await client.end()
    throw cause
  }
  return sessionOf(client)
}

/** Below the time that a caller waits, so that it learns that nothing is written instead of nothing at all. */
const lockShare = 0.8
const statementShare = 0.9

const begin = (durability: Durability, limitMillis: number): ReadonlyArray<Command> => {
  const share = (part: number) => Math.max(1, Math.floor(limitMillis * part))
  return [
    {
      sql:
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; " +
        `SET LOCAL lock_timeout = ${share(lockShare)}; SET LOCAL statement_timeout = ${share(statementShare)}; ` +
        // A process that is stopped in a transaction must not hold its locks for ever.
        `SET LOCAL idle_in_transaction_session_timeout = ${share(2)}` +
        (durability === "power-loss" ? "" : "; SET LOCAL synchronous_commit = off")
    }
  ]
}

const steering = makeSteering(
  "BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|PREPARE|SET|RESET|DISCARD|LISTEN|UNLISTEN|COPY"
)

export const make = (options: PostgresOptions): Driver => ({
  connect: () => connect(options),
  begin,
  faultOf,
  // A savepoint takes back whatever failed, a deadlock too.
  endsTransaction: () => false,
  steers: steering
})
