/**
 * A person who follows a page: pastes its blocks into a shell, in order, in a home directory of the test.
 *
 * Where a page names an address or a port that the test cannot have, the reader uses another one. What is printed is
 * compared as if it had been the one of the page.
 */
import { Effect, Scope } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as BuiltServer from "./BuiltServer.ts"
import type { DocumentBlock } from "./DocumentBlock.ts"
import * as Blocks from "./DocumentBlock.ts"
import * as Shell from "./Shell.ts"
import * as TemporaryDirectory from "./TemporaryDirectory.ts"

const root = path.resolve(import.meta.dirname, "../../../..")

/** The one command that the package has. */
const program = "happier-light-server"

/** Printed between two blocks, and by no program. */
const separator = "\u001e"

export interface PageReader {
  readonly home: string
  /** The address of the server on this machine. */
  readonly url: string
  /** Runs a text, and returns what it prints. Dies when a command fails. */
  readonly type: (text: string, cwd?: string) => Effect.Effect<string>
  /** The same with blocks in one shell. What each prints is compared with what is shown. */
  readonly paste: (...blocks: ReadonlyArray<DocumentBlock>) => Effect.Effect<string>
  /** The same in another directory than that of the reader. */
  readonly pasteIn: (cwd: string, block: DocumentBlock) => Effect.Effect<string>
  /** Writes a block into a file of the home directory, and runs a command about that file. */
  readonly check: (block: DocumentBlock, file: string, command: (file: string) => string) => Effect.Effect<string>
  /** Runs a block of usages: each line without what it has in brackets, and with it. */
  readonly pasteUsages: (
    block: DocumentBlock,
    /** Asked before each line. */
    values: () => { readonly [placeholder: string]: string }
  ) => Effect.Effect<void>
  /**
   * Starts a block that runs until the scope of the reader closes, and waits until it has printed what matches. `text`
   * is the same block with what this machine needs besides.
   */
  readonly begin: (block: DocumentBlock, until: RegExp, text?: string) => Effect.Effect<Shell.Running>
  /** Blocks that were run. */
  readonly done: () => ReadonlySet<DocumentBlock>
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

type Pairs = ReadonlyArray<readonly [from: string, to: string]>

const replaced = (text: string, pairs: Pairs): string =>
  pairs.reduce((result, [from, to]) => result.replaceAll(from, to), text)

/** Dies when what was printed is not what is shown. */
const compared = ({ document, line, shown }: DocumentBlock, printed: string) => {
  const difference = shown === undefined ? undefined : Blocks.difference(shown, printed)
  return difference === undefined ? Effect.void : Effect.dieMessage(`${document}:${line} differs, ${difference}`)
}

/** The directory in which the command of the built server is. */
const commandIn = (home: string): string => {
  const folder = path.join(home, ".reader-bin")
  fs.mkdirSync(folder)
  fs.symlinkSync(path.join(root, `apps/light-server/bin/${program}.mjs`), path.join(folder, program))
  return folder
}

/** What blocks become: a text is typed as this machine needs it, and read as the page has it. */
const shellOf = (home: string, port: number, options: Options) => {
  const pairs: Pairs = [...Object.entries(options.instead ?? {}), ["127.0.0.1:3005", `127.0.0.1:${port}`]]
  const environment = {
    PATH: [...(options.programs ?? []), commandIn(home), process.env["PATH"]].join(path.delimiter),
    HOME: home,
    PORT: String(port),
    ...options.environment
  }
  const placeOf = (cwd = options.cwd ?? home): Shell.Place => ({ cwd, environment })
  const read = (output: string) =>
    replaced(
      output,
      pairs.map(([from, to]) => [to, from])
    )
  return {
    read,
    start: (text: string) => Shell.start(replaced(text, pairs), placeOf()),
    type: (text: string, cwd?: string) =>
      Effect.flatMap(Shell.run(replaced(text, pairs), placeOf(cwd)), ({ code, output }) =>
        code === 0 ? Effect.succeed(read(output)) : Effect.dieMessage(`code ${code} of\n${text}\n${output}`)
      )
  }
}

type Hands = ReturnType<typeof shellOf>

const pasteWith = ({ type }: Hands, blocks: ReadonlyArray<DocumentBlock>, cwd?: string) =>
  Effect.gen(function* () {
    const printed = yield* type(blocks.map(({ text }) => text).join(`\nprintf '\\036'\n`), cwd)
    const answers = printed.split(separator)
    for (const [index, block] of blocks.entries()) yield* compared(block, answers[index] ?? "")
    return answers.join("\n")
  })

const beginWith = ({ read, start }: Hands, block: DocumentBlock, until: RegExp, text: string) =>
  Effect.gen(function* () {
    if (!text.includes(block.text)) return yield* Effect.dieMessage(`${text} is not ${block.text}`)
    const running = yield* start(text)
    yield* running.until(until)
    yield* compared(block, read(running.output()))
    return running
  })

const usagesWith = ({ type }: Hands, block: DocumentBlock, values: Parameters<PageReader["pasteUsages"]>[1]) =>
  Effect.forEach(
    block.text.split("\n"),
    (line) => Effect.suspend(() => Effect.forEach(Blocks.usages(line, values()), (usage) => type(usage))),
    { discard: true }
  )

export const make = (options: Options = {}): Effect.Effect<PageReader, never, Scope.Scope> =>
  Effect.gen(function* () {
    const home = yield* TemporaryDirectory.make
    const scope = yield* Effect.scope
    const port = yield* BuiltServer.freePort
    const hands = shellOf(home, port, options)
    const done = new Set<DocumentBlock>()
    const noted = <A>(blocks: ReadonlyArray<DocumentBlock>, effect: Effect.Effect<A>) =>
      Effect.suspend(() => {
        for (const block of blocks) done.add(block)
        return effect
      })
    return {
      home,
      url: `http://127.0.0.1:${port}`,
      type: hands.type,
      paste: (...blocks) => noted(blocks, pasteWith(hands, blocks)),
      pasteIn: (cwd, block) => noted([block], pasteWith(hands, [block], cwd)),
      check: (block, name, command) =>
        noted(
          [block],
          Effect.suspend(() => {
            const file = path.join(home, name)
            fs.writeFileSync(file, `${block.text}\n`)
            return hands.type(command(file))
          })
        ),
      pasteUsages: (block, values) => noted([block], usagesWith(hands, block, values)),
      begin: (block, until, text = block.text) =>
        noted([block], Scope.extend(beginWith(hands, block, until, text), scope)),
      done: () => done
    }
  })
