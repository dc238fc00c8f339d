/** The library as a server composes it, on a file. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as SqliteInProcess from "presence-effect/node/SqliteInProcess"
import * as SqliteReader from "presence-effect/node/SqliteReader"
import * as SqliteThread from "presence-effect/node/SqliteThread"
import { PresenceStorage } from "presence-effect/presence/PresenceStorage"
import type { EngineFault, SqliteConnection } from "presence-effect/writer/SqliteConnection"
import * as SqlitePresenceStorage from "presence-effect/sqlite/SqlitePresenceStorage"
import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
import * as WalKeeper from "presence-effect/sqlite/WalKeeper"
import type { WriterPolicy } from "presence-effect/writer/WriterPolicy"
import * as SampleFile from "./SampleFile.ts"

export interface Options {
  readonly filename: string
  readonly place: "in-process" | "thread"
  readonly policy?: WriterPolicy
  /** With a fiber that keeps the log short. */
  readonly isKept?: boolean
  /** In place of the connection that `place` names. */
  readonly connection?: Layer.Layer<SqliteConnection, EngineFault>
}

export interface WriterStack {
  readonly writer: SqliteWriter.SqliteWriter["Type"]
  readonly close: () => Promise<void>
}

export interface Stack extends WriterStack {
  readonly storage: PresenceStorage["Type"]
}

/** Services of a layer, until they are closed. */
export const build = async <A, E>(layer: Layer.Layer<A, E>) => {
  const scope = await Effect.runPromise(Scope.make())
  const services = await Effect.runPromise(Layer.buildWithScope(layer, scope))
  return { services, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

const engineOf = ({ connection, filename, place }: Options) =>
  connection ?? (place === "thread" ? SqliteThread.layer({ filename }) : SqliteInProcess.layer({ filename }))

const writerOf = ({ isKept = false, policy }: Options) =>
  Layer.provideMerge(isKept ? WalKeeper.layer() : Layer.empty, SqliteWriter.layer(policy))

/** The writer on any file. */
export const openWriter = async (options: Options): Promise<WriterStack> => {
  const { close, services } = await build(Layer.provide(writerOf(options), engineOf(options)))
  return { writer: Context.get(services, SqliteWriter.SqliteWriter), close }
}

/** The writer and the storage on a file with the tables of presence. */
export const open = async (options: Options): Promise<Stack> => {
  const { filename } = options
  const engine = engineOf(options)
  const layer = SqlitePresenceStorage.layer({ kinds: SampleFile.kinds }).pipe(
    Layer.provideMerge(writerOf(options)),
    // The writing connection has already set the journal mode that a reader needs.
    Layer.provide(Layer.provideMerge(SqliteReader.layer({ filename }), engine))
  )
  const { close, services } = await build(layer)
  return {
    writer: Context.get(services, SqliteWriter.SqliteWriter),
    storage: Context.get(services, PresenceStorage),
    close
  }
}
