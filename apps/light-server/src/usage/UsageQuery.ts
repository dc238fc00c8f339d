/** What an account used over time: its reports, summed up by hour or by day. */
import { Schema } from "effect"
import { idLengthMax } from "../database/Ids.ts"

/** Seconds since 1970; beyond the year 9999 nobody reports. */
const Seconds = Schema.Number.pipe(Schema.between(0, 253_402_300_799))

const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { nullable: true })

/** Body of a query. The times are seconds, both included. */
export const UsageQuery = Schema.Struct({
  sessionId: optional(Schema.String.pipe(Schema.maxLength(idLengthMax))),
  startTime: optional(Seconds),
  endTime: optional(Seconds),
  groupBy: Schema.optionalWith(Schema.Literal("hour", "day"), { nullable: true, default: () => "day" as const })
})

export type UsageQuery = typeof UsageQuery.Type

/**
 * One number of a period. `part` is `reports` for how many there were, and else
 * the half of a report that `name` is from.
 */
export const PeriodAmount = Schema.Struct({
  timestamp: Schema.Int,
  part: Schema.Literal("reports", "tokens", "cost"),
  name: Schema.String,
  amount: Schema.Number
})

export type PeriodAmount = typeof PeriodAmount.Type

/**
 * What was reported within one hour or one day of UTC. `timestamp` is its
 * beginning, in seconds.
 */
export interface Period {
  readonly timestamp: number
  readonly tokens: { readonly [name: string]: number }
  readonly cost: { readonly [name: string]: number }
  readonly reportCount: number
}

/** Puts the numbers of each period together, the oldest period first. */
export const periodsOf = (amounts: ReadonlyArray<PeriodAmount>): ReadonlyArray<Period> => {
  const periods = new Map<number, Record<"tokens" | "cost", Array<[string, number]>> & { reportCount: number }>()
  for (const { timestamp, part, name, amount } of amounts) {
    const period = periods.get(timestamp) ?? { tokens: [], cost: [], reportCount: 0 }
    periods.set(timestamp, period)
    if (part === "reports") period.reportCount = amount
    else period[part].push([name, amount])
  }
  return [...periods]
    .toSorted(([a], [b]) => a - b)
    .map(([timestamp, { tokens, cost, reportCount }]) => ({
      timestamp,
      // Names come from clients, and one may be called as a part of every object is.
      tokens: Object.fromEntries(tokens),
      cost: Object.fromEntries(cost),
      reportCount
    }))
}
