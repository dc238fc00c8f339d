/**
 * A person who follows a page: pastes its blocks into a shell, in order, in a home directory of the test.
 *
 * Where a page names an address or a port that the test cannot have, the reader uses another one. What is printed is
 * compared as if it had been the one of the page.
 */
import { Effect, Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import fs from "node:fs"
import path from "node:path"
import * as BuiltServer from "./BuiltServer.ts"
import * as DocumentBlock from "./DocumentBlock.ts"
import * as TemporaryDirectory from "./TemporaryDirectory.ts"

const root = path.resolve(import.meta.dirname, "../../../..")

/** The one command that the package has. */
const program = "happier-light-server"

/** Printed between two blocks, and by no program. */
const separator = "\\036"

export interface PageReader {
  readonly home: string
  /** The address of the server on this machine. */
  readonly url: string
  /**
   * Runs blocks to their end in one shell, compares what each prints with what is shown, and returns it. Dies when a
   * command fails.
   */
  readonly paste: (...blocks: ReadonlyArray<DocumentBlock.DocumentBlock>) => Effect.Effect<string>
  /** The same in another directory than that of the reader. */
  readonly pasteIn: (cwd: string, block: DocumentBlock.DocumentBlock) => Effect.Effect<string>
  /** Writes a block into a file below the home directory, and runs a command about that file. */
  readonly check: (
    block: DocumentBlock.DocumentBlock,
    file: string,
    command: (file: string) => string
  ) => Effect.Effect<string>
  /** Runs a block of usages: each line without what it has in brackets, and with it. */
  readonly pasteUsages: (
    block: DocumentBlock.DocumentBlock,
    /** Asked before each line. */
    values: () => { readonly [placeholder: string]: string }
  ) => Effect.Effect<void>
  /** The same for a text that is not on the page. */
  readonly type: (text: string, cwd?: string) => Effect.Effect<string>
  /**
   * Starts a block that runs until the scope closes, and waits until it has printed what matches. `text` is the same
   * block with what this machine needs besides.
   */
  readonly begin: (
    block: DocumentBlock.DocumentBlock,
    until: RegExp,
    text?: string
  ) => Effect.Effect<{ readonly output: () => string; readonly end: Effect.Effect<number | null> }>
  /** Blocks that were run. */
  readonly done: () => ReadonlySet<DocumentBlock.DocumentBlock>
}

export interface Options {
  /** Names of the page, and what stands for them here. */
  readonly instead?: { readonly [text: string]: string }
  readonly environment?: { readonly [variable: string]: string }
  /** Where the shell is; the home directory unless given. */
  readonly cwd?: string
  /** Folders with programs, before the command of the built server. */
  readonly programs?: ReadonlyArray<string>
}

const replaced = (text: string, pairs: ReadonlyArray<readonly [from: string, to: string]>): string =>
  pairs.reduce((result, [from, to]) => result.replaceAll(from, to), text)

/** Ends a shell with everything that it has started. */
const endGroup = (child: ChildProcess, signal: NodeJS.Signals): void => {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal)
  } catch {
    // It is gone already.
  }
}

export const make = (options: Options = {}): Effect.Effect<PageReader, never, Scope.Scope> =>
  Effect.gen(function* () {
    const home = yield* TemporaryDirectory.make
    const scope = yield* Effect.scope
    const port = yield* BuiltServer.freePort
    const bin = path.join(home, ".reader-bin")
    fs.mkdirSync(bin)
    fs.symlinkSync(path.join(root, `apps/light-server/bin/${program}.mjs`), path.join(bin, program))
    const pairs = [...Object.entries(options.instead ?? {}), ["127.0.0.1:3005", `127.0.0.1:${port}`] as const]
    const back = pairs.map(([from, to]) => [to, from] as const)
    const done = new Set<DocumentBlock.DocumentBlock>()

    const shell = (text: string, cwd = options.cwd ?? home) => {
      const child = spawn("bash", ["-euo", "pipefail", "-c", replaced(text, pairs)], {
        cwd,
        detached: true,
        env: {
          PATH: [...(options.programs ?? []), bin, process.env["PATH"]].join(path.delimiter),
          HOME: home,
          PORT: String(port),
          ...options.environment
        },
        stdio: ["ignore", "pipe", "pipe"]
      })
      let output = ""
      let heard = () => {}
      for (const stream of [child.stdout, child.stderr]) {
        stream.on("data", (data) => {
          output += String(data)
          heard()
        })
      }
      const ended = new Promise<number | null>((resolve) => child.once("close", resolve))
      return {
        child,
        ended,
        output: () => replaced(output, back),
        listen: (listener: () => void) => (heard = listener)
      }
    }

    const owned = (text: string, cwd?: string) =>
      Effect.acquireRelease(
        Effect.sync(() => shell(text, cwd)),
        ({ child, ended }) =>
          Effect.promise(() => {
            endGroup(child, "SIGKILL")
            return ended
          })
      )

    const type: PageReader["type"] = (text, cwd) =>
      Effect.scoped(
        Effect.gen(function* () {
          const { ended, output } = yield* owned(text, cwd)
          const code = yield* Effect.promise(() => ended)
          return code === 0 ? output() : yield* Effect.dieMessage(`code ${code} of\n${text}\n${output()}`)
        })
      )

    const compared = ({ document, line, shown }: DocumentBlock.DocumentBlock, printed: string) => {
      const difference = shown === undefined ? undefined : DocumentBlock.difference(shown, printed)
      return difference === undefined ? Effect.void : Effect.dieMessage(`${document}:${line} differs, ${difference}`)
    }

    return {
      home,
      url: `http://127.0.0.1:${port}`,
      type,
      paste: (...blocks) =>
        Effect.gen(function* () {
          for (const block of blocks) done.add(block)
          const printed = yield* type(blocks.map(({ text }) => text).join(`\nprintf '${separator}'\n`))
          const answers = printed.split("\u001e")
          for (const [index, block] of blocks.entries()) yield* compared(block, answers[index] ?? "")
          return answers.join("\n")
        }),
      pasteIn: (cwd, block) =>
        Effect.gen(function* () {
          done.add(block)
          const printed = yield* type(block.text, cwd)
          yield* compared(block, printed)
          return printed
        }),
      check: (block, name, command) =>
        Effect.suspend(() => {
          done.add(block)
          const file = path.join(home, name)
          fs.writeFileSync(file, `${block.text}\n`)
          return type(command(file))
        }),
      pasteUsages: (block, values) =>
        Effect.suspend(() => {
          done.add(block)
          return Effect.forEach(
            block.text.split("\n"),
            (line) =>
              Effect.suspend(() => Effect.forEach(DocumentBlock.usages(line, values()), (usage) => type(usage))),
            { discard: true }
          )
        }),
      begin: (block, until, text = block.text) =>
        Effect.gen(function* () {
          if (!text.includes(block.text)) return yield* Effect.dieMessage(`${text} is not ${block.text}`)
          done.add(block)
          const running = yield* owned(text)
          yield* Effect.async<void, never>((resume) => {
            const look = () => (until.test(running.output()) ? resume(Effect.void) : undefined)
            running.listen(look)
            look()
            void running.ended.then((code) =>
              resume(Effect.dieMessage(`ended with ${code} before ${String(until)}:\n${running.output()}`))
            )
          })
          yield* compared(block, running.output())
          return {
            output: running.output,
            end: Effect.promise(() => {
              endGroup(running.child, "SIGTERM")
              return running.ended
            })
          }
        }).pipe(Scope.extend(scope)),
      done: () => done
    }
  })
