/**
 * The arguments of the program, read into a value.
 *
 * Nothing is run here, so that each command loads no more than it needs.
 */
import { type Command, CommanderError } from "commander"
import { fileVariable } from "../config/ConfigFileName.ts"
import type { Request, Settings } from "./Request.ts"
import * as Verbs from "./Verbs.ts"

/** Subcommands inherit neither the output nor the error handling: each is configured itself. */
const everyCommand = (command: Command): ReadonlyArray<Command> => [command, ...command.commands.flatMap(everyCommand)]

/** The names of a command, from the program down. */
const nameOf = (command: Command): string =>
  command.parent === null ? command.name() : `${nameOf(command.parent)} ${command.name()}`

/** One line: what is wrong, and where to read on. */
const misuse = (reason: string, command: Command): Request => ({
  _tag: "Misuse",
  text: `${reason
    .trim()
    .replace(/^error: /, "")
    .replaceAll(/\s*\n\s*/g, " ")}; see \`${nameOf(command)} --help\``
})

/** Options of the program take a value, which is no command: `--set PORT=1`. */
const isOption = (arg: string): boolean => arg.startsWith("-")

/** Without a command the program serves. `--help` and `--version` are answered without one. */
const hasCommand = (args: ReadonlyArray<string>): boolean => {
  const words = args.filter((arg, index) => !isOption(arg) && !["--set", "--config"].includes(args[index - 1] ?? ""))
  return words.length > 0 || args.some((arg) => ["-h", "--help", "--version"].includes(arg))
}

/** The innermost command that the arguments name. */
const commandOf = (root: Command, args: ReadonlyArray<string>): Command => {
  const [name, ...rest] = args
  const found = root.commands.find((command) => command.name() === name)
  return found === undefined ? root : commandOf(found, rest)
}

const settingsOf = ({ config, set }: Verbs.RootOptions): Settings =>
  config === undefined ? set : { ...set, [fileVariable]: config }

export interface Parsed {
  readonly request: Request
  readonly settings: Settings
}

/** Reads the arguments after the name of the program. */
export const parse = (args: ReadonlyArray<string>): Parsed => {
  let settings: Settings = {}
  const request = read(args, (options) => (settings = settingsOf(options)))
  return { request, settings }
}

const read = (args: ReadonlyArray<string>, accept: (options: Verbs.RootOptions) => void): Request => {
  let request: Request | undefined
  let text = ""
  const program = Verbs.build((accepted) => (request ??= accepted))
  const write = (part: string) => void (text += part)
  for (const command of everyCommand(program)) {
    command.exitOverride().configureOutput({ writeOut: write, writeErr: write })
  }
  try {
    program.parse(hasCommand(args) ? [...args] : [...args, "serve"], { from: "user" })
    accept(program.opts())
  } catch (cause) {
    if (!(cause instanceof CommanderError)) throw cause
    // `--version` without a command, which commander misses.
    if (request?._tag === "Version" && cause.code === "commander.help") return request
    if (cause.exitCode === 0) return { _tag: "Help", text }
    const command = commandOf(program, args)
    // A command that only has subcommands answers with its help.
    return cause.code === "commander.help"
      ? misuse(`one of ${command.commands.map((sub) => sub.name()).join(", ")} is missing`, command)
      : misuse(cause.message, command)
  }
  if (request?._tag === "Misuse") return misuse(request.text, commandOf(program, args))
  return request ?? misuse("a command is missing", program)
}
