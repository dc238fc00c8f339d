/**
 * Presence and the writer for programs without Effect: plain functions and
 * promises around one SQLite file.
 *
 * @example
 * import Database from "better-sqlite3"
 * import { strictEqual } from "node:assert/strict"
 * import { mkdtempSync, rmSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 * import * as PresenceHost from "presence-effect/host/PresenceHost"
 * import * as PresenceTables from "presence-effect/sqlite/PresenceTables"
 * import * as Lane from "presence-effect/writer/Lane"
 * import * as Write from "presence-effect/writer/Write"
 *
 * const folder = mkdtempSync(join(tmpdir(), "example-"))
 * const filename = join(folder, "app.sqlite")
 * const kinds = { device: {} }
 * new Database(filename).exec(PresenceTables.ddl(kinds)).close()
 *
 * const host = await PresenceHost.start({ filename, kinds })
 * await host.write(Lane.control, Write.statement("INSERT INTO device (id) VALUES (?)", ["phone"]))
 * host.connected({ kind: "device", id: "phone" })
 * await host.close() // with a last flush
 *
 * strictEqual(new Database(filename).prepare("SELECT active FROM device").pluck().get(), 1)
 * rmSync(folder, { recursive: true })
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import { layer as databaseLabel } from "../writer/DatabaseName.ts"
import type { Lane } from "../writer/Lane.ts"
import * as SqliteReader from "../node/SqliteReader.ts"
import * as SqliteThread from "../node/SqliteThread.ts"
import * as Presence from "../Presence.ts"
import type { PresenceConfig } from "../presence/PresenceConfig.ts"
import type { PresenceKey } from "../presence/PresenceKey.ts"
import type { KeyOf, PresenceKinds } from "../presence/PresenceKind.ts"
import {
  type CheckpointMode,
  type CheckpointResult,
  type EngineFault,
  SqliteConnection
} from "../writer/SqliteConnection.ts"
import * as SqliteWriter from "../writer/SqliteWriter.ts"
import * as WalKeeper from "../sqlite/WalKeeper.ts"
import type { Write } from "../writer/Write.ts"
import type { WriterPolicy } from "../writer/WriterPolicy.ts"
import * as Promises from "./internal/promises.ts"

/**
 * One line of the library's log.
 *
 * @category models
 * @since 0.1.0
 */
export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error"
  readonly message: string
  /** What belongs to the line: its `code`, counts, and the cause of a failure. */
  readonly fields: { readonly [name: string]: unknown }
}

/**
 * @category models
 * @since 0.1.0
 */
export interface HostOptions<Kinds extends PresenceKinds = PresenceKinds> extends Omit<
  SqliteThread.SqliteThreadOptions,
  "onSpawn"
> {
  /** Lanes and their terms, durability included. Default: `WriterPolicy.defaults`. */
  readonly policy?: WriterPolicy
  /** The kinds of rows to keep online, with the names of their tables and columns. */
  readonly kinds: Kinds
  readonly presence?: Partial<PresenceConfig<keyof Kinds & string>>
  /** Name of the database in the label `database` of metrics. Default: no label. */
  readonly databaseName?: string
  readonly wal?: Partial<WalKeeper.WalKeeperOptions>
  /** Takes the log lines. Default: Effect's logger, to the console. It must not throw. */
  readonly onLog?: (line: LogLine) => void
  /**
   * A layer below all others, for a tracer or a clock: `NodeSdk.layer` of `@effect/opentelemetry` collects spans and
   * metrics.
   *
   * @since 0.3.0
   */
  readonly layer?: Layer.Layer<never>
}

/**
 * @category models
 * @since 0.3.0
 */
export interface CallOptions {
  readonly signal?: AbortSignal
}

/**
 * @category models
 * @since 0.1.0
 */
export interface HostStatus {
  /**
   * `stopped`: the connection stopped for good, see `untilStopped`. End the process then. A health route answers 503
   * for everything but `open`.
   *
   * @since 0.3.0
   */
  readonly state: "open" | "stopped" | "draining" | "closed"
  /**
   * Why it stopped.
   *
   * @since 0.3.0
   */
  readonly stopped: EngineFault | undefined
  readonly writer: SqliteWriter.WriterStatus
  readonly presence: Presence.PresenceStatus
  readonly wal: WalKeeper.WalStatus
}

/**
 * What a program holds between `start` and `close`. Every member may be called
 * at any time and from any callback.
 *
 * @category models
 * @since 0.1.0
 */
export interface PresenceHost<Key extends PresenceKey = PresenceKey> {
  /**
   * Reports a sign of life, stamped by the client in epoch ms. Answers at once:
   * no promise, no database. The caller has verified that the row belongs to the
   * account. `closed`: after `close`, where nothing writes it any more. Ignored.
   */
  readonly beat: (key: Key, claimedMillis: number) => Presence.BeatOutcome | "closed"
  /** A connection of the row opened. Counts as a sign of life now. */
  readonly connected: (key: Key) => Presence.BeatOutcome | "closed"
  /** A connection closed. After the last one, the grace begins. */
  readonly disconnected: (key: Key) => void
  /** Ends the row. Never rejects: what could not be written now goes with the next tick. */
  readonly end: (key: Key, claimedMillis: number) => Promise<void>
  /** Forgets a row that was deleted. */
  readonly forget: (key: Key) => void
  /** `undefined`: not tracked, ask the database. */
  readonly lastSeen: (key: Key) => { readonly isOnline: boolean; readonly lastSeenMillis: number } | undefined
  /** Calls `listener` for each transition, after its commit. Returns the function that ends this. */
  readonly onTransition: (listener: (transition: Presence.Transition<Key>) => void) => () => void
  /**
   * Commits `write` on the terms of `lane`. Rejects with a `WriterError`, or with
   * the reason of `signal` when that aborts first: a write that waits is not run
   * then, one that has begun goes on and its outcome is unknown.
   */
  readonly write: <A>(lane: Lane, write: Write<A>, options?: CallOptions) => Promise<A>
  /**
   * `write`, with the time it waited and held.
   *
   * @since 0.3.0
   */
  readonly writeMeasured: <A>(lane: Lane, write: Write<A>, options?: CallOptions) => Promise<SqliteWriter.Measured<A>>
  /**
   * Runs `body` under the permit, for a database client of your own. A busy
   * database is tried again on the terms of `lane`, so `body` may run more than
   * once; it must be one transaction, and its client must not wait by itself.
   *
   * Rejects with the rejection of `body`, unchanged, or with `LaneOverflow`,
   * `PermitTimeout`, `WriteUnconfirmed` or `WriterClosed`. After
   * `WriteUnconfirmed` the body goes on and keeps the permit until it settles.
   * `write` and `withPermit` of this host called by `body` reject at once with
   * `NestedPermit`, in every lane.
   *
   * When `signal` of the options aborts, a body that waits is not run. One that has
   * begun sees its own signal abort, which it also does when the host closes and can
   * wait no longer: let it roll back and settle. The permit is free when it has
   * settled, and the promise rejects then with the reason, or after the hold limit.
   *
   * A synchronous client, such as better-sqlite3, blocks the event loop while it waits for the lock of another
   * process: up to 5 s by default. Open it with `timeout: 0`, or run `PRAGMA busy_timeout = 0`. The permit excludes the
   * writer of this host, and the lane tries again while another process has the lock.
   */
  readonly withPermit: <A>(lane: Lane, body: (signal: AbortSignal) => Promise<A>, options?: CallOptions) => Promise<A>
  /**
   * Checkpoint by the writing connection, under the permit of `lane`. The host checkpoints by itself; this is for
   * scripts, before a copy of the file for example.
   *
   * @since 0.3.0
   */
  readonly checkpoint: (lane: Lane, mode: CheckpointMode, options?: CallOptions) => Promise<CheckpointResult>
  /** Writes what waits now. Never rejects: what could not be written waits for the next tick. */
  readonly flush: () => Promise<void>
  /** What a health route shows. Reads memory only and takes the same time however many rows there are. */
  readonly status: () => HostStatus
  /**
   * Resolves with the fault that stopped the connection for good: the file was
   * moved or is damaged, the disk failed twice in a row, or no thread could be
   * kept. End the process then. Never settles otherwise.
   *
   * @since 0.2.0
   */
  readonly untilStopped: () => Promise<EngineFault>
  /**
   * Ends everything in order: a last flush, the writer's running write, the log
   * file. Never rejects because of unwritten data, which is logged instead. May be
   * called again and gives the same promise.
   *
   * It resolves too when the engine is stuck, within half a minute with the default terms. Then a line with the code
   * `THREAD_STUCK` is logged: `process.exit` would wait for that thread, so end the process with
   * `process.kill(process.pid, "SIGKILL")`.
   */
  readonly close: () => Promise<void>
  /**
   * `close`, for `await using`.
   *
   * @since 0.3.0
   */
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

type Services<Self> = Self | SqliteConnection | SqliteWriter.SqliteWriter | WalKeeper.WalKeeper

const levels: { readonly [label: string]: LogLine["level"] } = {
  TRACE: "debug",
  DEBUG: "debug",
  INFO: "info",
  WARN: "warn",
  ERROR: "error",
  FATAL: "error"
}

const textOf = (part: unknown): string => (part instanceof Error ? part.message : String(part))

const loggerOf = (onLog: (line: LogLine) => void): Layer.Layer<never> =>
  Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ annotations, cause, logLevel, message }) => {
      const parts: ReadonlyArray<unknown> = Array.isArray(message) ? message : [message]
      onLog({
        level: levels[logLevel.label] ?? "info",
        message: parts.map(textOf).join(" "),
        fields: {
          ...Object.fromEntries(HashMap.entries(annotations)),
          ...(Cause.isEmpty(cause) ? {} : { cause: Cause.pretty(cause) })
        }
      })
    })
  )

/** From the bottom up, and closed from the top down: flush, log file, writer, connection. */
const houseOf = <Self, Kinds extends PresenceKinds>(
  tag: Presence.PresenceTag<Self, string, Kinds>,
  options: HostOptions<Kinds>
) => {
  const house = Presence.layerSqlite(tag, options.presence).pipe(
    Layer.provide(SqliteReader.layer(options)),
    Layer.provideMerge(WalKeeper.layer(options.wal)),
    Layer.provideMerge(SqliteWriter.layer(options.policy)),
    Layer.provideMerge(SqliteThread.layer(options))
  )
  const named = options.databaseName === undefined ? house : Layer.provide(house, databaseLabel(options.databaseName))
  const logged = options.onLog === undefined ? named : Layer.provideMerge(named, loggerOf(options.onLog))
  return options.layer === undefined ? logged : Layer.provideMerge(logged, options.layer)
}

/** The services of a host, open, or nothing. */
const build = async <Kinds extends PresenceKinds>(options: HostOptions<Kinds>) => {
  class Own extends Presence.Tag("presence-effect/host/PresenceHost", options.kinds)<Own>() {}
  const managed = ManagedRuntime.make(houseOf(Own, options))
  const built = await managed.runPromiseExit(Effect.runtime<Services<Own>>())
  if (Exit.isFailure(built)) await managed.dispose()
  return { managed, runtime: Promises.unwrap(built), tag: Own }
}

/**
 * Opens the file and starts writer and presence.
 *
 * **Errors**: rejects with `EngineFault` when the file cannot be opened, with
 * `PolicyInvalid`, `ConfigInvalid` or `StorageInvalid` naming every option and
 * every kind that does not fit, and with `StorageUnreadable` when the tables are not there.
 * Nothing stays open then.
 *
 * @category constructors
 * @since 0.1.0
 */
export const start = async <const Kinds extends PresenceKinds>(
  options: HostOptions<Kinds>
): Promise<PresenceHost<KeyOf<Kinds>>> => {
  const { managed, runtime, tag } = await build(options)
  const inform = Runtime.runSync(runtime)
  const presence = inform(tag)
  const writer = inform(SqliteWriter.SqliteWriter)
  const keeper = inform(WalKeeper.WalKeeper)
  const connection = inform(SqliteConnection)
  const { bodyOf, outside, promise } = Promises.make(runtime)
  let stopped: EngineFault | undefined
  Runtime.runFork(runtime)(
    Effect.catchAll(connection.untilStopped, (fault) =>
      Effect.sync(() => {
        stopped = fault
      })
    )
  )
  const parts = Effect.all({ writer: writer.status, presence: presence.status, wal: keeper.status })
  const status = Effect.map(parts, (all): HostStatus => {
    const whileOpen = stopped === undefined ? "open" : "stopped"
    return { state: all.writer.state === "open" ? whileOpen : all.writer.state, stopped, ...all }
  })
  let closing: Promise<void> | undefined
  const close = () => (closing ??= managed.dispose())

  return {
    beat: (key, claimedMillis) => (closing === undefined ? presence.beat(key, claimedMillis) : "closed"),
    connected: (key) => (closing === undefined ? presence.connected(key) : "closed"),
    disconnected: presence.disconnected,
    end: (key, claimedMillis) => promise(presence.end(key, claimedMillis)),
    forget: presence.forget,
    lastSeen: presence.lastSeen,
    onTransition: (listener) => {
      const scope = inform(Scope.make())
      inform(Scope.extend(presence.onTransition(listener), scope))
      return () => inform(Scope.close(scope, Exit.void))
    },
    write: (lane, write, options) => outside(lane, writer.write(lane, write), options?.signal),
    writeMeasured: (lane, write, options) => outside(lane, writer.writeMeasured(lane, write), options?.signal),
    withPermit: (lane, body, options) => outside(lane, writer.withPermit(lane)(bodyOf(lane, body)), options?.signal),
    checkpoint: (lane, mode, options) => outside(lane, writer.checkpoint(lane, mode), options?.signal),
    flush: () => promise(presence.flush),
    status: () => inform(status),
    untilStopped: () => promise(Effect.flip(connection.untilStopped)),
    close,
    [Symbol.asyncDispose]: close
  }
}
