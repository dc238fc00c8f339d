/** What the server watches of its database, whatever that is, beside the writer and the reader. */
import { Context, type Effect } from "effect"
import type { EngineFault } from "presence-effect/writer/Engine"

/** Sizes in bytes. `undefined`: unknown, or there is no such thing. */
export interface Sizes {
  readonly databaseBytes: number | undefined
  readonly logBytes: number | undefined
}

/** Why the database cannot be written, though it answers. */
export interface Problem {
  readonly code: string
  readonly detail: string
}

export class DatabaseState extends Context.Tag("light-server/DatabaseState")<
  DatabaseState,
  {
    /** The path of the file, or the server and the name of its database. For people; holds no password. */
    readonly place: string
    /** Never succeeds. Fails with the fault that ended the connection that writes. */
    readonly untilStopped: Effect.Effect<never, EngineFault>
    /** Ends the connection that writes, because of damage that a read found. */
    readonly stop: (fault: EngineFault) => Effect.Effect<void>
    /** The path of a file of the database that was replaced or deleted since the start. */
    readonly findMoved: Effect.Effect<string | undefined>
    readonly sizes: Effect.Effect<Sizes>
    /** Space within the database that new rows can take. Does not wait for the engine. */
    readonly reusableBytes: Effect.Effect<number | undefined>
    /** Free space where the database is. */
    readonly diskFreeBytes: Effect.Effect<number | undefined>
    readonly problem: Effect.Effect<Problem | undefined>
  }
>() {}
