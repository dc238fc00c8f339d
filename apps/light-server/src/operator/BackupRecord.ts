/** What became of the last backups, kept in the data directory for the status, the metric and the doctor. */
import { Effect, Option, Schema } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as DurableFile from "./DurableFile.ts"

export const BackupRecord = Schema.Struct({
  /** The last one that was verified. */
  last: Schema.NullOr(Schema.Struct({ file: Schema.String, atMillis: Schema.Number, bytes: Schema.Number })),
  /** The last failure since. */
  failure: Schema.NullOr(Schema.Struct({ reason: Schema.String, atMillis: Schema.Number }))
})

export interface BackupRecord extends Schema.Schema.Type<typeof BackupRecord> {}

/** The record, and whether the backup that it names has been deleted or moved since. */
export interface BackupState extends BackupRecord {
  readonly isGone: boolean
}

const none: BackupRecord = { last: null, failure: null }

const fileOf = (dataDirectory: string) => path.join(dataDirectory, "last-backup.json")

const decode = Schema.decodeUnknownOption(Schema.parseJson(BackupRecord))

/** One that is missing or cannot be read counts as none. */
export const read = (dataDirectory: string): Effect.Effect<BackupRecord> =>
  Effect.sync(() => {
    try {
      return Option.getOrElse(decode(fs.readFileSync(fileOf(dataDirectory), "utf8")), () => none)
    } catch {
      return none
    }
  })

/** What the status, the page and the doctor say about backups. */
export const look = (dataDirectory: string): Effect.Effect<BackupState> =>
  Effect.map(read(dataDirectory), (record) => ({
    ...record,
    isGone: record.last !== null && !fs.existsSync(record.last.file)
  }))

/** Ignores a data directory that cannot be written: the backup exists all the same. */
const write = (dataDirectory: string, record: BackupRecord) =>
  Effect.ignore(Effect.try(() => DurableFile.write(fileOf(dataDirectory), `${JSON.stringify(record)}\n`)))

export const succeeded = (dataDirectory: string, last: NonNullable<BackupRecord["last"]>): Effect.Effect<void> =>
  write(dataDirectory, { last, failure: null })

export const failed = (dataDirectory: string, failure: NonNullable<BackupRecord["failure"]>): Effect.Effect<void> =>
  Effect.flatMap(read(dataDirectory), ({ last }) => write(dataDirectory, { last, failure }))
