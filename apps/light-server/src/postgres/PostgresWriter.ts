/** The writer of a PostgreSQL database, for statements with `?` for their parameters. */
import { Effect, Layer } from "effect"
import type { Engine } from "presence-effect/writer/Engine"
import type { Write } from "presence-effect/writer/Write"
import * as Writer from "presence-effect/writer/Writer"
import type { PolicyInvalid, WriterPolicy } from "presence-effect/writer/WriterPolicy"
import { postgres } from "../database/PostgresDialect.ts"

const translated = <A>(write: Write<A>): Write<A> => ({
  ...write,
  statements: write.statements.map((statement) => ({ ...statement, sql: postgres.text(statement.sql) }))
})

export const layer = (policy: WriterPolicy): Layer.Layer<Writer.Writer, PolicyInvalid, Engine> =>
  Layer.effect(
    Writer.Writer,
    Effect.map(Writer.Writer, (writer) =>
      Writer.Writer.of({
        policy: writer.policy,
        status: writer.status,
        write: (lane, write) => writer.write(lane, translated(write)),
        writeMeasured: (lane, write) => writer.writeMeasured(lane, translated(write))
      })
    )
  ).pipe(Layer.provide(Writer.layer(policy)))
