/**
 * A write as a value.
 *
 * A `Write` defines which statements run, what each must change, how durable the
 * commit must be and how the returned rows are read. It holds no connection and
 * no code that runs between the statements, so it can be logged, timed, tried
 * again, put into one commit with others and sent to another thread, and the
 * engine never waits for JavaScript while it holds the lock.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import { dual, identity } from "effect/Function"
import type { ParseError } from "effect/ParseResult"
import type { Pipeable } from "effect/Pipeable"
import { pipeArguments } from "effect/Pipeable"
import type * as Schema from "effect/Schema"
import { rowDecoder } from "../internal/rowDecoder.ts"
import { type Durability, stricter } from "./Durability.ts"

/**
 * What SQLite stores. Times are integer milliseconds; `Date` and `boolean`
 * cannot be bound.
 *
 * @category models
 * @since 0.1.0
 */
export type SqlValue = string | number | bigint | null | Uint8Array

/**
 * How many rows a statement must change: any number, at least one, or exactly
 * so many. Otherwise the whole write is rolled back as `WriteConflict`.
 *
 * @category models
 * @since 0.1.0
 */
export type Changes = "any" | "some" | number

/**
 * @category models
 * @since 0.1.0
 */
export interface Statement {
  readonly sql: string
  readonly params: ReadonlyArray<SqlValue>
  readonly changes: Changes
  /**
   * The author of the statement declares that it fails as a whole: no `OR FAIL`, no trigger that raises `FAIL`. When
   * such a statement is all of a write and may change `any` number of rows, it is run without a transaction around it,
   * which saves the copies SQLite would otherwise keep of the pages it changes. Absent: not known.
   */
  readonly isAtomic?: boolean
  /** Also run when only the reserve of the disk is left. Set by `withReserve`. */
  readonly usesReserve?: boolean
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Row {
  readonly [column: string]: SqlValue
}

/**
 * What one statement did: the rows of its `RETURNING` clause (none without
 * one), and how many rows it changed.
 *
 * @category models
 * @since 0.1.0
 */
export interface StatementResult {
  readonly rows: ReadonlyArray<Row>
  readonly changes: number
}

/**
 * Statements that are committed together or not at all, and the decoder of
 * their results.
 *
 * @category models
 * @since 0.1.0
 */
export interface Write<out A> extends Pipeable {
  readonly statements: ReadonlyArray<Statement>
  /** `undefined`: the durability that the policy sets for the lane. */
  readonly durability: Durability | undefined
  /**
   * What the write locks first, such as the account whose row it changes: a text that is the same for every write that
   * locks the same. `undefined`: not known. Writes that share a commit run in its order.
   *
   * @since 0.4.0
   */
  readonly lock?: string | undefined
  /** Reads one result per statement, in order. */
  readonly decode: (results: ReadonlyArray<StatementResult>) => Either.Either<A, ParseError>
}

const make = <A>(
  statements: Write<A>["statements"],
  durability: Write<A>["durability"],
  decode: Write<A>["decode"],
  lock?: string
): Write<A> => ({
  statements,
  durability,
  lock,
  decode,
  pipe() {
    // oxlint-disable-next-line prefer-rest-params
    return pipeArguments(this, arguments)
  }
})

/**
 * The write that does nothing. The unit of `zip` and `all`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const empty: Write<void> = make([], undefined, () => Either.void)

/**
 * One statement, and its result undecoded.
 *
 * @example
 * import * as Write from "presence-effect/writer/Write"
 *
 * const rename = Write.statement("UPDATE Machine SET metadata = ? WHERE id = ? AND version = ?", ["m", "id", 3], {
 *   changes: 1
 * })
 *
 * console.log(rename.statements.length)
 *
 * @category constructors
 * @since 0.1.0
 */
export const statement = (
  sql: string,
  params: ReadonlyArray<SqlValue> = [],
  { changes = "any", isAtomic }: { readonly changes?: Changes; readonly isAtomic?: boolean } = {}
): Write<StatementResult> =>
  make([isAtomic === undefined ? { sql, params, changes } : { sql, params, changes, isAtomic }], undefined, (results) =>
    Either.right(results[0] ?? { rows: [], changes: 0 })
  )

/**
 * A statement of `@effect/sql` as a write: of any client, since it is only compiled and not run by it.
 *
 * @example
 * import type * as SqlClient from "@effect/sql/SqlClient"
 * import * as Lane from "presence-effect/writer/Lane"
 * import type * as SqliteWriter from "presence-effect/writer/SqliteWriter"
 * import * as Write from "presence-effect/writer/Write"
 *
 * export const remove = (sql: SqlClient.SqlClient, writer: SqliteWriter.SqliteWriter["Type"], id: string) =>
 *   writer.write(Lane.data, Write.fromStatement(sql`DELETE FROM Machine WHERE id = ${id}`, { changes: 1 }))
 *
 * @category constructors
 * @since 0.3.0
 */
export const fromStatement = (
  compiled: { readonly compile: () => readonly [sql: string, params: ReadonlyArray<unknown>] },
  options?: { readonly changes?: Changes; readonly isAtomic?: boolean }
): Write<StatementResult> => {
  const [sql, params] = compiled.compile()
  // The writer refuses what cannot be bound.
  return statement(sql, params as ReadonlyArray<SqlValue>, options)
}

/**
 * Reads the rows of a write with a schema. A row that does not fit fails the
 * write as `WriteUndecodable`, after its commit.
 *
 * @category combinators
 * @since 0.1.0
 */
export const decodeRows: {
  <A, I>(schema: Schema.Schema<A, I>): (self: Write<StatementResult>) => Write<ReadonlyArray<A>>
  <A, I>(self: Write<StatementResult>, schema: Schema.Schema<A, I>): Write<ReadonlyArray<A>>
} = dual(2, <A, I>(self: Write<StatementResult>, schema: Schema.Schema<A, I>): Write<ReadonlyArray<A>> => {
  const decode = rowDecoder(schema)
  return make(
    self.statements,
    self.durability,
    (results) => Either.flatMap(self.decode(results), ({ rows }) => Either.mapLeft(decode(rows), identity)),
    self.lock
  )
})

/**
 * @category combinators
 * @since 0.1.0
 */
export const map: {
  <A, B>(f: (a: A) => B): (self: Write<A>) => Write<B>
  <A, B>(self: Write<A>, f: (a: A) => B): Write<B>
} = dual(2, <A, B>(self: Write<A>, f: (a: A) => B): Write<B> =>
  make(self.statements, self.durability, (results) => Either.map(self.decode(results), f), self.lock)
)

/**
 * Both writes as one: their statements in order, committed together, both
 * results. The stricter durability wins.
 *
 * @category combinators
 * @since 0.1.0
 */
export const zip: {
  <B>(that: Write<B>): <A>(self: Write<A>) => Write<readonly [A, B]>
  <A, B>(self: Write<A>, that: Write<B>): Write<readonly [A, B]>
} = dual(2, <A, B>(self: Write<A>, that: Write<B>): Write<readonly [A, B]> =>
  make(
    [...self.statements, ...that.statements],
    stricter(self.durability, that.durability),
    (results) =>
      Either.all([
        self.decode(results.slice(0, self.statements.length)),
        that.decode(results.slice(self.statements.length))
      ]),
    self.lock ?? that.lock
  )
)

/**
 * Both writes as one, with the result of the second.
 *
 * @category combinators
 * @since 0.1.0
 */
export const andThen: {
  <B>(that: Write<B>): <A>(self: Write<A>) => Write<B>
  <A, B>(self: Write<A>, that: Write<B>): Write<B>
} = dual(2, <A, B>(self: Write<A>, that: Write<B>): Write<B> => map(zip(self, that), ([, second]) => second))

/**
 * All writes as one, with all results.
 *
 * @category combinators
 * @since 0.1.0
 */
export const all = <A>(writes: ReadonlyArray<Write<A>>): Write<ReadonlyArray<A>> =>
  make(
    writes.flatMap(({ statements }) => statements),
    writes.reduce<Durability | undefined>((strictest, { durability }) => stricter(strictest, durability), undefined),
    (results) => {
      let from = 0
      return Either.all(writes.map((write) => write.decode(results.slice(from, (from += write.statements.length)))))
    },
    writes.find(({ lock }) => lock !== undefined)?.lock
  )

/**
 * Asks for another durability than the one of the lane.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withDurability: {
  (durability: Durability): <A>(self: Write<A>) => Write<A>
  <A>(self: Write<A>, durability: Durability): Write<A>
} = dual(2, <A>(self: Write<A>, durability: Durability): Write<A> =>
  make(self.statements, durability, self.decode, self.lock)
)

/**
 * Says what the write locks first. An engine with several connections runs two groups of writes side by side; in the
 * order of their locks neither waits for the other in a circle. SQLite has one writer and needs none.
 *
 * @example
 * import * as Write from "presence-effect/writer/Write"
 *
 * export const raise = (account: string) =>
 *   Write.withLock(Write.statement("UPDATE account SET seq = seq + 1 WHERE id = $1", [account]), account)
 *
 * @category combinators
 * @since 0.4.0
 */
export const withLock: {
  (lock: string): <A>(self: Write<A>) => Write<A>
  <A>(self: Write<A>, lock: string): Write<A>
} = dual(2, <A>(self: Write<A>, lock: string): Write<A> => make(self.statements, self.durability, self.decode, lock))

/**
 * Marks every statement as one that may use the reserve of the disk. A write whose statements all are marked is not
 * refused with `DatabaseFull` as long as the disk itself takes it. For writes that free space or must not wait for it:
 * deletes, and the end of a row.
 *
 * @example
 * import * as Write from "presence-effect/writer/Write"
 *
 * const remove = Write.withReserve(Write.statement("DELETE FROM Session WHERE id = ?", ["id"]))
 *
 * console.log(remove.statements.every(({ usesReserve }) => usesReserve === true))
 *
 * @category combinators
 * @since 0.3.0
 */
export const withReserve = <A>(self: Write<A>): Write<A> =>
  make(
    self.statements.map((statement) => ({ ...statement, usesReserve: true })),
    self.durability,
    self.decode,
    self.lock
  )
