/**
 * The arguments of the program, read into a value.
 *
 * Nothing is run here, so that each command loads no more than it needs.
 */
import { Command, CommanderError } from "commander"

/** What the arguments request. */
export type Request =
  | { readonly _tag: "Serve" }
  | { readonly _tag: "Import"; readonly from: string; readonly into: string | undefined; readonly isJson: boolean }
  | { readonly _tag: "Compact"; readonly isJson: boolean }
  | { readonly _tag: "Version"; readonly isJson: boolean }
  | { readonly _tag: "PrintConfig" }
  /** A text that was requested. */
  | { readonly _tag: "Help"; readonly text: string }
  /** Arguments that are not valid. */
  | { readonly _tag: "Misuse"; readonly text: string }

const environmentHint = `
light-server --help lists the commands, light-server <command> --help what one of them takes.
Everything else is set by variables of the environment; docs/operations.md lists them.
`

const compactHint = `
The first time a database of an earlier version is written anew, which needs twice the space of its rows on the disk and
in the directory for temporary files. After that it is shortened in small steps, and a running server does so by itself.
`

const build = (accept: (request: Request) => void): Command => {
  const program = new Command("light-server")
    .description("Machines and sessions online on one SQLite file.")
    .option("--version", "print the version")
    .addHelpText("after", environmentHint)
    .showHelpAfterError()
    .helpCommand(false)
    .on("option:version", () => accept({ _tag: "Version", isJson: false }))
  program
    .command("serve")
    .description("serve until a signal comes; what happens without a command")
    .action(() => accept({ _tag: "Serve" }))
  program
    .command("import")
    .description("copy the database of a happier light server into a new one; the other file is only read")
    .requiredOption("--from <file>", "the database of the other server")
    .option("--into <directory>", "a directory that is missing or empty; the data directory unless given")
    .option("--json", "print the report as JSON")
    .action((options: { readonly from: string; readonly into?: string; readonly json?: boolean }) =>
      accept({ _tag: "Import", from: options.from, into: options.into, isJson: options.json === true })
    )
  program
    .command("compact")
    .description("give the free space of the database back to the file system; no server may be using it")
    .option("--json", "print the report as JSON")
    .addHelpText("after", compactHint)
    .action((options: { readonly json?: boolean }) => accept({ _tag: "Compact", isJson: options.json === true }))
  program
    .command("version")
    .description("print the version")
    .option("--json", "with the versions of what it runs on, as JSON")
    .action((options: { readonly json?: boolean }) => accept({ _tag: "Version", isJson: options.json === true }))
  program
    .command("config")
    .description("look at the configuration")
    .command("print")
    .description("print the configuration as it is understood, as JSON, without secrets")
    .action(() => accept({ _tag: "PrintConfig" }))
  return program
}

/** Subcommands inherit neither the output nor the error handling: each is configured itself. */
const everyCommand = (command: Command): ReadonlyArray<Command> => [command, ...command.commands.flatMap(everyCommand)]

/** Reads the arguments after the name of the program. */
export const parse = (args: ReadonlyArray<string>): Request => {
  let request: Request | undefined
  let text = ""
  const program = build((accepted) => (request ??= accepted))
  const write = (part: string) => void (text += part)
  for (const command of everyCommand(program)) {
    command.exitOverride().configureOutput({ writeOut: write, writeErr: write }).showHelpAfterError()
  }
  try {
    program.parse(args.length === 0 ? ["serve"] : [...args], { from: "user" })
  } catch (cause) {
    if (!(cause instanceof CommanderError)) throw cause
    // `--version` without a command, which commander misses.
    if (request?._tag === "Version" && cause.code === "commander.help") return request
    return cause.exitCode === 0 ? { _tag: "Help", text } : { _tag: "Misuse", text }
  }
  return request ?? { _tag: "Misuse", text: program.helpInformation() }
}
