/**
 * Rows of a list as JSON text. Runs where the statement runs: in a thread beside the event loop.
 *
 * A row that does not fit is left out and reported: another server may have written rows that this one never writes.
 */
import type { Field, ListReply, ListRequest, StoredRow } from "./ReadRequest.ts"
import * as StoredMillis from "./StoredMillis.ts"

/** A value as JSON, and as the value that is kept. */
interface Shown {
  readonly json: string
  readonly value: unknown
}

const shown = (value: unknown): Shown => ({ json: JSON.stringify(value), value })

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const nothing: Shown = { json: "null", value: null }

/** `undefined`: the value does not fit. */
const show: { readonly [kind in Field["kind"]]: (value: unknown) => Shown | undefined } = {
  text: (value) => (typeof value === "string" ? shown(value) : undefined),
  textOrNull: (value) => (value === null || typeof value === "string" ? shown(value) : undefined),
  int: (value) => (Number.isSafeInteger(value) ? shown(value) : undefined),
  number: (value) => (Number.isFinite(value) ? shown(value) : undefined),
  flag: (value) => (typeof value === "number" ? shown(value !== 0) : undefined),
  time: (value) => {
    const millis = StoredMillis.of(value)
    return millis === undefined ? undefined : shown(millis)
  },
  timeOrNull: (value) => (value === null ? nothing : show.time(value)),
  bytesOrNull: (value) => {
    if (value === null) return nothing
    return value instanceof Uint8Array
      ? shown(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64"))
      : undefined
  },
  // The text is sent as it is stored.
  json: (value) => (typeof value === "string" && isJson(value) ? { json: value, value } : undefined),
  timeOrZero: (value) => shown(StoredMillis.of(value) ?? 0),
  jsonOrNull: (value) => show.json(value) ?? nothing
}

/** The members of a row and its kept values, or the name of the column that does not fit. */
const rowOf = (row: StoredRow, { constants, fields, kept }: ListRequest) => {
  const members: Array<string> = []
  const values = new Map<string, unknown>()
  for (const { as, column, kind } of fields) {
    const found = show[kind](row[column])
    if (found === undefined) return column
    if (as !== undefined) members.push(`${JSON.stringify(as)}:${found.json}`)
    if (kept.includes(column)) values.set(column, found.value)
  }
  if (constants !== "") members.push(constants)
  return { text: members.join(","), kept: kept.map((column) => values.get(column)) }
}

const isKey = (key: unknown): key is string | number => typeof key === "string" || typeof key === "number"

const placeOf = (row: StoredRow): number => (typeof row["listPlace"] === "number" ? row["listPlace"] : 0)

/** In a buffer of its own: one from Node's pool cannot be transferred to another thread. */
const joined = (texts: ReadonlyArray<Uint8Array>, length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  let offset = 0
  for (const text of texts) {
    bytes.set(text, offset)
    offset += text.byteLength
  }
  return bytes
}

/** The answer to a request from the rows of its statement. */
export const make = (request: ListRequest, unsorted: ReadonlyArray<StoredRow>): ListReply => {
  // SQLite would copy all the texts in order to sort them.
  const found = unsorted.toSorted((a, b) => placeOf(a) - placeOf(b))
  const [firstRow] = found
  const texts: Array<Buffer> = []
  const ends: Array<number> = []
  const kept: Array<ReadonlyArray<unknown>> = []
  const unreadable: Array<string> = []
  let lastKey: string | number | undefined
  let length = 0
  let lookedAt = 0
  for (const row of found) {
    const made = request.skipNull !== undefined && row[request.skipNull] === null ? undefined : rowOf(row, request)
    if (typeof made === "string") unreadable.push(made)
    else if (made !== undefined) {
      const text = Buffer.from(made.text)
      if (texts.length > 0 && length + text.byteLength > request.bytesMax) break
      texts.push(text)
      kept.push(made.kept)
      length += text.byteLength
      ends.push(length)
    }
    lookedAt++
    if (isKey(row["listKey"])) lastKey = row["listKey"]
  }
  const counted = firstRow?.["listCandidates"]
  const candidates = typeof counted === "number" ? counted : found.length
  return {
    bytes: joined(texts, length),
    ends,
    kept,
    first: firstRow === undefined ? [] : request.first.map((column) => firstRow[column]),
    lastKey,
    hasMore: candidates > lookedAt,
    isCut: lookedAt < Math.min(request.limit, candidates),
    unreadable
  }
}
