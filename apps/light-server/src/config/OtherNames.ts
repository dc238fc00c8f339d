/**
 * Variables that are not settings of this server, and the warning for each:
 * those of other servers of the family, those of earlier versions, and unknown
 * names.
 */
import leven from "leven"
import type { Knob } from "../ConfigKnob.ts"
import { type Environment, textOf } from "./Environment.ts"

/** Settings of other servers without a counterpart here. Setting one is a warning. */
export const withoutEffect: { readonly [name: string]: string } = {
  METRICS_PORT: "metrics are served on the main port, under /metrics",
  AUTH_SIGNUP_PROVIDERS: "accounts are opened with a key only",
  HAPPIER_SQLITE_CONNECTION_LIMIT: "one connection writes, and its lanes decide the order of writes",
  HAPPIER_SQLITE_WAL_CHECKPOINT_BUSY_TIMEOUT_MS: "checkpoints never wait",
  HAPPIER_SQLITE_INCREMENTAL_VACUUM_INTERVAL_MS: "the file gives space back by itself when much of it is free",
  HAPPIER_SQLITE_INCREMENTAL_VACUUM_PAGES: "the file gives space back by itself when much of it is free",
  HAPPIER_DB_CONNECTION_LIMIT: "one connection writes, and its lanes decide the order of writes",
  HAPPIER_DB_TX_MAX_RETRIES: "retries end with the deadline of their lane",
  HAPPIER_DB_TX_MAX_WAIT_MS: "waiting ends with the deadline of its lane",
  HAPPIER_DB_TX_TIMEOUT_MS: "writes end with the deadline of their lane",
  HAPPIER_DB_TX_RETRY_BASE_DELAY_MS: "the policy of a lane sets its delays",
  HAPPIER_DB_TX_RETRY_MAX_DELAY_MS: "the policy of a lane sets its delays",
  HAPPIER_DB_TX_TOTAL_RETRY_BUDGET_MS: "retries end with the deadline of their lane",
  HAPPIER_SERVER_LIGHT_FILES_DIR: "no files are stored",
  HAPPIER_SERVER_LIGHT_DB_DIR: "set DATABASE_URL or HAPPIER_SERVER_LIGHT_DATA_DIR",
  HAPPY_ACCOUNT_CHANGE_CLEANUP: "old changes are always removed; HAPPIER_CHANGES_RETENTION_MS sets their age",
  HAPPY_ACCOUNT_CHANGE_CLEANUP_INTERVAL_MS:
    "old changes are removed once an hour; HAPPIER_CHANGES_RETENTION_MS sets their age"
}

/** Settings of other servers that restrict access in a way this server cannot. Setting one is a problem. */
export const refused: { readonly [name: string]: string } = {
  AUTH_REQUIRED_LOGIN_PROVIDERS:
    "accounts log in with a key only. To keep strangers out, set AUTH_ANONYMOUS_SIGNUP_ENABLED to 0 or first-account"
}

/** Settings of earlier versions, and what has taken their place. Setting one is a warning. */
export const retired: { readonly [name: string]: string } = {
  HAPPIER_SQLITE_RESTART_LIMIT: "the server ends after 5 deaths in a row of the thread that writes",
  HAPPIER_RATE_LIMIT_WINDOW_MS: "requests are counted per minute",
  HAPPIER_PAIRING_CAPACITY: "1000 pairing requests of one kind are kept",
  HAPPIER_SOCKET_PING_INTERVAL_MS: "sockets are pinged every 15 s",
  HAPPIER_SOCKET_PING_TIMEOUT_MS: "a socket ends after 45 s without an answer to a ping",
  HAPPIER_SOCKET_CONNECT_TIMEOUT_MS: "a transport without a handshake is closed after 10 s",
  HAPPIER_SOCKET_HANDSHAKE_TIMEOUT_MS: "a handshake is verified within 5 s",
  HAPPIER_SOCKET_HANDSHAKE_LIMIT: "HAPPIER_SOCKET_HANDSHAKES_PER_SECOND sets how fast sockets are accepted",
  HAPPIER_SOCKET_HANDSHAKE_QUEUE_LIMIT: "HAPPIER_SOCKET_HANDSHAKES_PER_SECOND sets how fast sockets are accepted",
  HAPPIER_SOCKET_ACCOUNT_LIMIT: "HAPPIER_SOCKET_LIMIT limits all sockets",
  HAPPIER_SOCKET_ACCOUNT_EVENTS_PER_SECOND: "the limit follows HAPPIER_SOCKET_EVENTS_PER_SECOND",
  HAPPIER_SOCKET_ACCOUNT_EVENT_BURST: "the limit follows HAPPIER_SOCKET_EVENT_BURST",
  HAPPIER_SOCKET_IN_FLIGHT_LIMIT: "HAPPIER_SOCKET_EVENT_BURST limits the events of a socket",
  HAPPIER_SOCKET_LAGGING_BYTES: "a socket misses repeated signs of life when 256 KiB wait for it",
  HAPPIER_SOCKET_OUTGOING_LIMIT_BYTES: "the limit follows HAPPIER_BODY_LIMIT_BYTES",
  HAPPIER_SOCKET_CLOSE_SPREAD_MS: "sockets are closed over 1 s at shutdown",
  HAPPIER_SOCKET_DRAIN_TIMEOUT_MS: "events have 2 s to end at shutdown",
  HAPPIER_OWNERSHIP_TTL_MS: "the owner of a session or machine is remembered for 30 s",
  HAPPIER_OWNERSHIP_CAPACITY: "the owners of 20000 sessions and machines are remembered",
  HAPPIER_RPC_METHOD_LIMIT: "a socket may register 256 methods",
  HAPPIER_RPC_CALL_LIMIT: "a socket may wait for 64 calls",
  HAPPIER_RPC_REQUEST_LIMIT: "a socket may have 128 calls to answer",
  HAPPIER_RPC_PAYLOAD_LIMIT_BYTES: "the limit is HAPPIER_BODY_LIMIT_BYTES",
  HAPPIER_CHANGES_PER_ACCOUNT: "10000 changes per account are kept; HAPPIER_CHANGES_RETENTION_MS sets their age",
  HAPPIER_CHANGES_PRUNE_INTERVAL_MS: "old changes are removed once an hour",
  HAPPIER_CHANGES_PRUNE_LIMIT: "a commit removes up to 250 old changes"
}

/** Names of the family that other programs read. They cause no warning. */
const ofClients: ReadonlyArray<RegExp> = [
  /^HAPPIER_(CONFIG_FILE|SERVER_URL|HOME_DIR|DISABLE_CAFFEINATE|WEBAPP_URL|VARIANT)$/,
  /^HAPPIER_(DAEMON|STACK)_/,
  /^HAPPY_ENABLE_V2_CHANGES$/
]

const family = /^(HAPPIER|HAPPY|HANDY)_/

const isSet = (environment: Environment, name: string) => textOf(environment, name) !== undefined

/** Problems with variables that must not be ignored. */
export const problemsOf = (environment: Environment): ReadonlyArray<string> =>
  Object.entries(refused).flatMap(([name, reason]) =>
    isSet(environment, name) ? [`${name} cannot be followed: ${reason}`] : []
  )

const suggestion = (name: string, known: ReadonlyArray<string>) => {
  const [closest] = known
    .map((candidate) => ({ candidate, distance: leven(name, candidate) }))
    .toSorted((a, b) => a.distance - b.distance)
  return closest !== undefined && closest.distance <= Math.max(2, name.length / 5)
    ? `${name} is not known, did you mean ${closest.candidate}?`
    : `${name} is not known and has no effect`
}

/** Why a name has no effect; `undefined` for a setting of this server. */
const reasonOf = (name: string, known: ReadonlyArray<string>): string | undefined => {
  if (known.includes(name)) return undefined
  const reason = withoutEffect[name] ?? refused[name]
  if (reason !== undefined) return `${name} has no effect here: ${reason}`
  const successor = retired[name]
  return successor === undefined ? suggestion(name, known) : `${name} has no effect any more: ${successor}`
}

const knownNames = (knobs: ReadonlyArray<Knob<unknown>>): ReadonlyArray<string> =>
  knobs.flatMap(({ aliases, name }) => [name, ...aliases])

/** What is wrong with a name where only settings of this server belong. */
export const problemOf = (name: string, knobs: ReadonlyArray<Knob<unknown>>): string | undefined =>
  reasonOf(name, knownNames(knobs))

/** One warning for each variable that is set and has no effect. */
export const warningsOf = (environment: Environment, knobs: ReadonlyArray<Knob<unknown>>): ReadonlyArray<string> => {
  const known = knownNames(knobs)
  return Object.keys(environment).flatMap((name) => {
    if (!isSet(environment, name) || name in refused) return []
    const isOurs = name in withoutEffect || name in retired
    if (!isOurs && (!family.test(name) || ofClients.some((pattern) => pattern.test(name)))) return []
    return reasonOf(name, known) ?? []
  })
}
