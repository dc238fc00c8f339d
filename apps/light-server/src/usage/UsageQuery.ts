/** What an account used over time: its reports, summed up by hour or by day. */
import { Schema } from "effect"
import { idLengthMax } from "../database/Ids.ts"

/** Seconds since 1970, up to the year 9999. */
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
