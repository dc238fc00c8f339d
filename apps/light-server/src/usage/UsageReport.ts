/** What an agent used: tokens and cost. */
import { Either, Schema } from "effect"
import { idLengthMax } from "../database/Ids.ts"

/** Numbers by name, one of them `total`. */
export interface Amounts {
  readonly [name: string]: number
  readonly total: number
}

/**
 * A report of an account. The next one with the same key and session replaces
 * it.
 */
export interface UsageReport {
  readonly key: string
  readonly sessionId: string | undefined
  readonly tokens: Amounts
  readonly cost: Amounts
}

/** What clients read when a report does not fit. */
export type Mismatch =
  | "Invalid key"
  | "Invalid tokens object - must include total"
  | "Invalid cost object - must include total"
  | "Invalid sessionId"

const keyLengthMax = 256
const nameCountMax = 64

const isShortText = (value: unknown, lengthMax: number): value is string =>
  typeof value === "string" && value.length > 0 && value.length <= lengthMax && value.isWellFormed()

const isAmounts = (value: unknown): value is Amounts =>
  typeof value === "object" &&
  value !== null &&
  !Array.isArray(value) &&
  Object.hasOwn(value, "total") &&
  Object.keys(value).length <= nameCountMax &&
  Object.entries(value).every(
    ([name, amount]) => name.length <= idLengthMax && name.isWellFormed() && Number.isFinite(amount)
  )

/** Reads a report, and names the first field that does not fit. */
export const decode = (input: unknown): Either.Either<UsageReport, Mismatch> => {
  const { key, sessionId, tokens, cost }: { readonly [field: string]: unknown } =
    typeof input === "object" && input !== null ? { ...input } : {}
  if (!isShortText(key, keyLengthMax)) return Either.left("Invalid key")
  if (!isAmounts(tokens)) return Either.left("Invalid tokens object - must include total")
  if (!isAmounts(cost)) return Either.left("Invalid cost object - must include total")
  if (sessionId === undefined || sessionId === null) return Either.right({ key, sessionId: undefined, tokens, cost })
  if (!isShortText(sessionId, idLengthMax)) return Either.left("Invalid sessionId")
  return Either.right({ key, sessionId, tokens, cost })
}

/** What clients are told about a stored report. */
export const Receipt = Schema.Struct({
  reportId: Schema.String,
  createdAt: Schema.Number,
  updatedAt: Schema.Number
})

export type Receipt = typeof Receipt.Type
