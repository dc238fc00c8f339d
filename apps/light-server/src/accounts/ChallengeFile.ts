/**
 * The file in the data directory that keeps which challenges were seen.
 *
 * A login of a known account must not wait for the lock of the database, so this is not kept in the database. A line is
 * passed to the operating system before its login is answered: it survives the end of the process, but not a power
 * failure.
 */
import { Effect } from "effect"
import fs from "node:fs/promises"
import * as SystemCode from "../SystemCode.ts"

export interface Seen {
  /** Digest of the public key and the challenge, in base64. */
  readonly key: string
  readonly seenAtMillis: number
  /** Epoch of the account's tokens at that time. */
  readonly epoch: number
}

export interface ChallengeFile {
  /** What the file held when it was opened, oldest first. */
  readonly kept: ReadonlyArray<Seen>
  /** Adds a challenge. `all` is written to a new file when this one has grown too long. */
  readonly add: (seen: Seen, all: () => Iterable<Seen>) => Effect.Effect<void>
}

const mode = 0o600

const attempt = <A>(run: () => Promise<A>) => Effect.tryPromise({ try: run, catch: SystemCode.of })

const warn = (what: string) => (code: string) =>
  Effect.logWarning(`${what}; a signed login that was recorded could be used again after a restart`).pipe(
    Effect.annotateLogs({ code: "CHALLENGES_UNKEPT", reason: code })
  )

const lineOf = ({ epoch, key, seenAtMillis }: Seen) => `${seenAtMillis} ${epoch} ${key}\n`

const line = /^(\d{1,15}) (\d{1,15}) ([A-Za-z0-9+/]{43}=)$/

/** A line that a crash has cut off is skipped. */
const parse = (text: string): ReadonlyArray<Seen> =>
  text.split("\n").flatMap((part) => {
    const [, seenAtMillis, epoch, key] = line.exec(part) ?? []
    return key === undefined ? [] : [{ key, seenAtMillis: Number(seenAtMillis), epoch: Number(epoch) }]
  })

/**
 * Reads the file, which need not exist. It is rewritten after `linesMax` lines.
 *
 * Never fails: if the file cannot be written, a warning is logged and logins go on.
 */
export const open = (file: string, linesMax: number): Effect.Effect<ChallengeFile> =>
  Effect.gen(function* () {
    const text = yield* attempt(() => fs.readFile(file, "utf8")).pipe(
      Effect.catchAll((code) =>
        Effect.as(code === "ENOENT" ? Effect.void : warn("Challenges cannot be read")(code), "")
      )
    )
    const kept = parse(text)
    const turn = yield* Effect.makeSemaphore(1)
    let lineCount = kept.length

    const rewrite = async (all: Iterable<Seen>) => {
      const lines = Array.from(all, lineOf)
      const aside = `${file}.new`
      await fs.writeFile(aside, lines.join(""), { mode })
      await fs.rename(aside, file)
      lineCount = lines.length
    }
    const append = async (seen: Seen) => {
      // The line before may have been cut off.
      await fs.appendFile(file, `\n${lineOf(seen)}`, { mode })
      lineCount += 1
    }
    return {
      kept,
      add: (seen, all) =>
        attempt(() => (lineCount >= linesMax ? rewrite(all()) : append(seen))).pipe(
          Effect.catchAll(warn("Challenges cannot be kept")),
          turn.withPermits(1),
          Effect.uninterruptible
        )
    }
  })
