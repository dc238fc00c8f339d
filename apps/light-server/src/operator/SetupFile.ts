/** The configuration file that `setup` writes. */
import { Effect, Schema } from "effect"
import fs from "node:fs"
import path from "node:path"
import { stringify } from "smol-toml"
import * as DurableFile from "./DurableFile.ts"
import { command } from "../Version.ts"

/** The file is there already, or cannot be written. Nothing changed. */
export class SetupRefused extends Schema.TaggedError<SetupRefused>("light-server/SetupRefused")("SetupRefused", {
  file: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.file} was not written: ${this.reason}`
  }
}

const head = `# Settings of the light server. docs/operations.md lists them all;
# \`${command} config print\` shows what is in effect, \`${command} config check\` checks this file.

`

export interface Options {
  readonly file: string
  /** Texts as in the environment, by the names of the variables. */
  readonly settings: { readonly [name: string]: string }
  /** Replaces a file that is there; that one is kept beside it. */
  readonly isForced: boolean
}

/** Writes the file, mode 0600, and answers with where the one from before is kept. */
export const write = ({ file, isForced, settings }: Options): Effect.Effect<string | undefined, SetupRefused> =>
  Effect.gen(function* () {
    const isThere = fs.existsSync(file)
    if (isThere && !isForced) {
      return yield* new SetupRefused({ file, reason: "it exists; edit it, or replace it with --force" })
    }
    return yield* Effect.try({
      try: () => {
        fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 })
        const kept = isThere ? `${file}.before-setup` : undefined
        if (kept !== undefined) fs.copyFileSync(file, kept)
        DurableFile.write(file, `${head}${stringify(settings)}`)
        return kept
      },
      catch: (cause) => new SetupRefused({ file, reason: cause instanceof Error ? cause.message : String(cause) })
    })
  })
