/** The lease of a replica, kept in a table of a database server. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { randomUUID } from "node:crypto"
import type { LeaseStore } from "../../presence/Replica.ts"
import type { Lane } from "../../writer/Lane.ts"
import * as Write from "../../writer/Write.ts"
import type { Writer } from "../../writer/Writer.ts"
import type { WriterError } from "../../writer/WriterError.ts"

/** The texts of a database. Times are those of the database, in epoch milliseconds. */
export interface LeaseSql {
  /** Parameter: the epoch. Returns `now`. */
  readonly begin: string
  /** Parameters: the epoch, and how long a lease holds. Returns `now`, if the lease held. */
  readonly beat: string
  /** The same parameters. */
  readonly end: string
}

const NowRecord = Schema.Struct({ now: Schema.Number })

export const make =
  (writer: Pick<Writer["Type"], "write">, lane: Lane, sql: LeaseSql) =>
  (leaseMillis: number): LeaseStore<WriterError> => ({
    begin: Effect.suspend(() => {
      const epoch = randomUUID()
      const write = Write.statement(sql.begin, [epoch], { changes: 1 }).pipe(Write.decodeRows(NowRecord))
      return Effect.map(writer.write(lane, write), ([row]) => ({ epoch, nowMillis: row?.now ?? 0 }))
    }),
    beat: (epoch) =>
      Effect.map(
        writer.write(lane, Write.decodeRows(Write.statement(sql.beat, [epoch, leaseMillis]), NowRecord)),
        ([row]) => row?.now
      ),
    end: (epoch) => Effect.asVoid(writer.write(lane, Write.statement(sql.end, [epoch, leaseMillis])))
  })
