/** Constraints in the codes of the engines: SQLite's result codes, SQLSTATE of PostgreSQL, names of MySQL's errors. */

export type Constraint = "unique" | "foreign-key" | "not-null" | "check" | "other"

const patterns: ReadonlyArray<readonly [code: RegExp, constraint: Constraint]> = [
  [/^(SQLITE_CONSTRAINT_(UNIQUE|PRIMARYKEY|ROWID)|23505|ER_DUP_\w+)$/, "unique"],
  [/^(SQLITE_CONSTRAINT_FOREIGNKEY|23503|ER_NO_REFERENCED_ROW\w*|ER_ROW_IS_REFERENCED\w*)$/, "foreign-key"],
  [/^(SQLITE_CONSTRAINT_NOTNULL|23502|ER_BAD_NULL_ERROR|ER_NO_DEFAULT_FOR_FIELD)$/, "not-null"],
  [/^(SQLITE_CONSTRAINT_CHECK|23514|ER_CHECK_CONSTRAINT_VIOLATED|ER_CONSTRAINT_FAILED)$/, "check"],
  [/^(SQLITE_CONSTRAINT\w*|23\w{3})$/, "other"]
]

/** `undefined`: the code is of no constraint. */
export const constraintOf = (code: string): Constraint | undefined =>
  patterns.find(([pattern]) => pattern.test(code))?.[1]
