/**
 * To whom sessions and machines belong, read for many at once: rows that are asked for while a statement runs, or in
 * one turn of the event loop, go into one statement. In a storm of reconnects that is one read instead of thousands.
 */
import { Cause, Effect, Exit, Option, Schema, type Scope } from "effect"
import type { PresenceKind } from "./PresenceKey.ts"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import { undecodable } from "../database/ReadFailure.ts"
import { SessionArchive } from "../database/SessionArchive.ts"
import { StoredFlag } from "../database/StoredValue.ts"

const Owner = Schema.Struct({
  id: Schema.String,
  accountId: Schema.String,
  isRevoked: StoredFlag,
  isArchived: StoredFlag
})

export type Owner = typeof Owner.Type

/** `undefined`: there is no such row. A read that was not done, such as at shutdown, is an interruption. */
export type Found = Exit.Exit<Owner | undefined, ReadFailed>

/** Rows of one statement: about a millisecond of the event loop. */
const batchRows = 250

const ownersOf = (archivedAt: string): { readonly [kind in PresenceKind]: string } => ({
  session: `SELECT "id", "accountId", 0 AS "isRevoked", ${archivedAt} IS NOT NULL AS "isArchived"
    FROM "Session" WHERE "id"`,
  machine: `SELECT "id", "accountId", 0 AS "isArchived",
    EXISTS (SELECT 1 FROM "PresenceMachineRevocation" WHERE "machineId" = "Machine"."id") AS "isRevoked"
    FROM "Machine" WHERE "id"`
})

/** A text that the JSON of a database can hold. Another one is read alone, and fails alone. */
const isPlain = (id: string): boolean => id.isWellFormed() && !id.includes("\u0000")

/** Rows that wait for a statement, each with the callbacks of its callers. */
type Waiting = Map<string, Array<(found: Found) => void>>

/** Takes what the next statement reads. */
const take = (waiting: Waiting): Waiting => {
  const taken: Waiting = new Map()
  for (const [id, tellers] of waiting) {
    const isAlone = !isPlain(id)
    if (isAlone && taken.size > 0) continue
    waiting.delete(id)
    taken.set(id, tellers)
    if (isAlone || taken.size === batchRows) break
  }
  return taken
}

const tellAll = (taken: Waiting, foundOf: (id: string) => Found): void => {
  for (const [id, tellers] of taken) {
    for (const tell of tellers) tell(foundOf(id))
  }
}

/** Asks for the row with this id. Calls `tell` once: with an interruption if the scope closes before it is read. */
export type Ask = (kind: PresenceKind, id: string, tell: (found: Found) => void) => Effect.Effect<void>

/** One statement at a time and kind, in the scope. */
export const make: Effect.Effect<Ask, never, DatabaseReader | Scope.Scope> = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const texts = ownersOf((yield* SessionArchive).archivedAt)
  const scope = yield* Effect.scope
  const { textsIn } = reader.dialect
  const queues = {
    session: { waiting: new Map() as Waiting, isRunning: false },
    machine: { waiting: new Map() as Waiting, isRunning: false }
  }

  const read = (kind: PresenceKind, ids: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<Owner>, ReadFailed> =>
    ids.length === 1
      ? reader.rows(Owner, `${texts[kind]} = ?`, ids)
      : reader.rows(Owner, `${texts[kind]} IN (${textsIn("?")})`, [JSON.stringify(ids)])

  const readSome = (kind: PresenceKind, taken: Waiting): Effect.Effect<void> =>
    Effect.flatMap(Effect.exit(Effect.interruptible(read(kind, [...taken.keys()]))), (exit) => {
      if (Exit.isSuccess(exit)) {
        const owners = new Map(exit.value.map((owner) => [owner.id, owner]))
        return Effect.sync(() => tellAll(taken, (id) => Exit.succeed(owners.get(id))))
      }
      // One row that cannot be understood holds up no other.
      if (taken.size > 1 && Option.getOrUndefined(Cause.failureOption(exit.cause))?.code === undecodable) {
        return Effect.forEach(taken, (row) => readSome(kind, new Map([row])), { discard: true })
      }
      const failed = Exit.failCause(exit.cause)
      return Effect.sync(() => tellAll(taken, () => failed))
    })

  /** Only its statements can be interrupted: each question is answered, also when the scope closes. */
  const readAll = (kind: PresenceKind): Effect.Effect<void> => {
    const queue = queues[kind]
    // Looking for more rows and stopping are one step: a row that is asked for in between would wait for ever.
    const loop = Effect.whileLoop({
      while: () => (queue.isRunning = queue.waiting.size > 0),
      body: () => Effect.suspend(() => readSome(kind, take(queue.waiting))),
      step: () => undefined
    })
    return Effect.uninterruptible(Effect.asVoid(Effect.forkIn(loop, scope)))
  }

  return (kind, id, tell) =>
    Effect.suspend(() => {
      const { isRunning, waiting } = queues[kind]
      const tellers = waiting.get(id)
      if (tellers === undefined) waiting.set(id, [tell])
      else tellers.push(tell)
      if (isRunning) return Effect.void
      queues[kind].isRunning = true
      return readAll(kind)
    })
})
