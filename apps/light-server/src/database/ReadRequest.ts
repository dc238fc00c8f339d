/**
 * Requests to a reader thread and its answers: plain values, since they are copied from thread to thread.
 *
 * This file imports nothing: each import would be loaded again by each thread that starts.
 */

export type SqlValue = string | number | bigint | Uint8Array | null

/** A row as the driver returns it. */
export interface StoredRow {
  readonly [column: string]: unknown
}

/**
 * What a column must hold, and its form in the answer: a `flag` as a boolean, a `time` of any stored form as
 * milliseconds, `bytes` as base64, and `json` as the parsed value of its text. A value that does not fit becomes `0`
 * for `timeOrZero` and `null` for `jsonOrNull`; for the other kinds the row is left out.
 */
export type FieldKind =
  | "text"
  | "textOrNull"
  | "int"
  | "number"
  | "flag"
  | "time"
  | "timeOrNull"
  | "bytesOrNull"
  | "json"
  | "timeOrZero"
  | "jsonOrNull"

export interface Field {
  readonly column: string
  readonly kind: FieldKind
  /** Its name in the answer. A field without one is checked and not shown. */
  readonly as?: string
}

/** A list that is wanted as JSON text. */
export interface ListRequest {
  readonly _tag: "List"
  /**
   * May return `listKey`, what the list is sorted by; `listPlace`, the place of a row from 1, when rows come in any
   * order; and `listCandidates`, how many rows there are within the limit and one beyond it.
   */
  readonly sql: string
  readonly params: ReadonlyArray<SqlValue>
  readonly fields: ReadonlyArray<Field>
  /** Columns whose decoded values are returned beside the text, row by row. Each is the column of a field. */
  readonly kept: ReadonlyArray<string>
  /** A row with NULL in this column stands for no row. It only contains the columns `first`. */
  readonly skipNull?: string
  /** Columns of the first row that are returned undecoded. */
  readonly first: ReadonlyArray<string>
  /** Members that each row ends with, as JSON: `"share":null`. */
  readonly constants: string
  /** Rows that the statement returns at most. */
  readonly limit: number
  /** The largest size of the text of all rows; a larger first row is returned alone. */
  readonly bytesMax: number
}

/** Few small rows that are wanted as values. */
export interface RowsRequest {
  readonly _tag: "Rows"
  readonly sql: string
  readonly params: ReadonlyArray<SqlValue>
}

export type ReadRequest = ListRequest | RowsRequest

/** A list as text. */
export interface ListReply {
  /** The members of the rows one after the other, without braces: `"id":"a","seq":1`. */
  readonly bytes: Uint8Array
  /** Where each row ends in `bytes`. */
  readonly ends: ReadonlyArray<number>
  readonly kept: ReadonlyArray<ReadonlyArray<unknown>>
  /** Values of the columns `first`. Empty when there was no row at all. */
  readonly first: ReadonlyArray<unknown>
  /** The key of the last row that was looked at, readable or not. `undefined`: there was none. */
  readonly lastKey: string | number | undefined
  /** There are rows after the last one. */
  readonly hasMore: boolean
  /** Rows within the limit were left out because of their size. */
  readonly isCut: boolean
  /** The column that did not fit, for each row that was left out. */
  readonly unreadable: ReadonlyArray<string>
}

export type ReadReply = ListReply | ReadonlyArray<StoredRow>

/** Why the thread could not answer. */
export interface ReadFault {
  /** SQLite's extended result code. */
  readonly code: string
  readonly detail: string
}

/** A message to a thread. */
export interface Asked {
  readonly id: number
  readonly request: ReadRequest
}

/** A message from a thread. */
export interface Answered {
  readonly id: number
  readonly reply?: ReadReply
  readonly fault?: ReadFault
}
