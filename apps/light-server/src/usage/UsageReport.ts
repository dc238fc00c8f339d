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

/** Above what a model costs in the largest account over a century. */
const costMax = 1e12

const isAmounts = (value: unknown, isAmount: (amount: unknown) => boolean): value is Amounts =>
  typeof value === "object" &&
  value !== null &&
  !Array.isArray(value) &&
  Object.hasOwn(value, "total") &&
  Object.keys(value).length <= nameCountMax &&
  Object.entries(value).every(([name, amount]) => name.length <= idLengthMax && name.isWellFormed() && isAmount(amount))

const isBetween = (amount: unknown, max: number): boolean => typeof amount === "number" && amount >= 0 && amount <= max

/** A token count is a number from 0 to 2^53 - 1. */
const isTokenCount = (amount: unknown) => isBetween(amount, Number.MAX_SAFE_INTEGER)

/** A cost is a number from 0 to 10^12, in whatever currency clients use. */
const isCost = (amount: unknown) => isBetween(amount, costMax)

/** Reads a report, and names the first field that does not fit. */
export const decode = (input: unknown): Either.Either<UsageReport, Mismatch> => {
  const { key, sessionId, tokens, cost }: { readonly [field: string]: unknown } =
    typeof input === "object" && input !== null ? { ...input } : {}
  if (!isShortText(key, keyLengthMax)) return Either.left("Invalid key")
  if (!isAmounts(tokens, isTokenCount)) return Either.left("Invalid tokens object - must include total")
  if (!isAmounts(cost, isCost)) return Either.left("Invalid cost object - must include total")
  if (sessionId === undefined || sessionId === null) return Either.right({ key, sessionId: undefined, tokens, cost })
  if (!isShortText(sessionId, idLengthMax)) return Either.left("Invalid sessionId")
  return Either.right({ key, sessionId, tokens, cost })
}

/** A stored report in the form that clients receive. */
export const Receipt = Schema.Struct({
  reportId: Schema.String,
  createdAt: Schema.Number,
  updatedAt: Schema.Number
})

export type Receipt = typeof Receipt.Type
