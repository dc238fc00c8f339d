/** Every command of the program: what it takes, and the request that it makes. */
import { Command, InvalidArgumentError, Option } from "commander"
import { logLevels, type LogLevelName } from "../LogLevels.ts"
import type { Request, Settings } from "./Request.ts"
import { command as program } from "../Version.ts"
import * as VerbHelp from "./VerbHelp.ts"

type Accept = (request: Request) => void

interface Json {
  readonly json?: boolean
}

/** A command below `parent` with `--help` that shows examples and exit codes. */
const verb = (parent: Command, name: string, description: string, help: VerbHelp.Help): Command =>
  parent.command(name).description(description).addHelpText("after", VerbHelp.render(program, help))

const json = (command: Command): Command => command.option("--json", "print JSON to standard output")

const isJson = ({ json }: Json): boolean => json === true

/** Codes of commands that ask the running server. */
const asking = [
  [1, "no server runs on the data directory, or it refused"],
  3,
  [4, "the socket of the server may not be used by this user"],
  [75, "the server did not answer in time"]
] as const

const addServe = (root: Command, accept: Accept) => {
  verb(root, "serve", "serve until a signal comes; what happens without a command", {
    examples: ["serve", "", "serve > server.log"],
    codes: [1, 3, 4, 5, 6, 75]
  }).action(() => accept({ _tag: "Serve" }))
}

const addStatus = (root: Command, accept: Accept) => {
  json(
    verb(root, "status", "how the running server is, asked over its socket", {
      examples: ["status", "status --watch", "status --json"],
      codes: [[1, "the server is not ready, or none runs on the data directory"], ...asking.slice(1)],
      notes: "With --watch it is asked again every second, until a signal comes. A health check uses the exit code."
    })
  )
    .option("--watch", "ask again every second")
    .action((options: Json & { readonly watch?: boolean }) =>
      accept({ _tag: "Status", isJson: isJson(options), isWatched: options.watch === true })
    )
}

const addDoctor = (root: Command, accept: Accept) => {
  json(
    verb(root, "doctor", "check the installation, and say what to do about what is wrong", {
      examples: ["doctor", "doctor --fix", "doctor --json"],
      codes: [[1, "there is a problem"]],
      notes:
        "A problem is something that clients notice or will notice, a warning something at risk. --fix corrects\n" +
        "what can be corrected without a decision, such as modes of files. The write lock is taken for a moment."
    })
  )
    .option("--fix", "correct what can be corrected, and check again")
    .action((options: Json & { readonly fix?: boolean }) =>
      accept({ _tag: "Doctor", isFixed: options.fix === true, isJson: isJson(options) })
    )
}

const addAccounts = (root: Command, accept: Accept) => {
  const account = root.command("account").description("accounts of the running server")
  json(verb(account, "list", "list the accounts", { examples: ["account list"], codes: asking })).action(
    (options: Json) => accept({ _tag: "Accounts", action: { _tag: "List" }, isJson: isJson(options) })
  )
  json(
    verb(account, "show", "show one account with its devices", {
      examples: ["account show cmb2k9x1d0000"],
      codes: asking
    })
  )
    .argument("<account>", "the id of the account")
    .action((id: string, options: Json) =>
      accept({ _tag: "Accounts", action: { _tag: "Show", account: id }, isJson: isJson(options) })
    )
  const turns = [
    ["disable", "Disable", "refuse the tokens of an account until it is enabled; nothing of it is deleted"],
    ["enable", "Enable", "accept the tokens of a disabled account again"]
  ] as const
  for (const [name, _tag, description] of turns) {
    json(
      verb(account, name, description, {
        examples: [`account ${name} cmb2k9x1d0000`],
        codes: asking,
        notes:
          "The connections of a disabled account are closed. Its clients keep their tokens and what they could not\n" +
          "send, and come back by themselves when it is enabled."
      })
    )
      .argument("<account>", "the id of the account")
      .action((id: string, options: Json) =>
        accept({ _tag: "Accounts", action: { _tag, account: id }, isJson: isJson(options) })
      )
  }
  json(
    verb(account, "delete", "delete an account with everything that belongs to it", {
      examples: ["account delete cmb2k9x1d0000 --yes"],
      codes: asking,
      notes:
        "The account is locked out at once, and its rows are deleted in the background. It cannot be undone.\n" +
        "While sign-up is open, its client can open a new, empty account."
    })
  )
    .argument("<account>", "the id of the account")
    .requiredOption("--yes", "delete it; without this nothing is done")
    .action((id: string, options: Json) =>
      accept({ _tag: "Accounts", action: { _tag: "Delete", account: id }, isJson: isJson(options) })
    )
}

const addDevices = (root: Command, accept: Accept) => {
  const device = root.command("device").description("devices of an account of the running server")
  json(
    verb(device, "list", "list the devices that used a token of the account since the start", {
      examples: ["device list cmb2k9x1d0000"],
      codes: asking
    })
  )
    .argument("<account>", "the id of the account")
    .action((account: string, options: Json) =>
      accept({ _tag: "Devices", action: { _tag: "List", account }, isJson: isJson(options) })
    )
  json(
    verb(device, "revoke", "end the token of one device and close its connections", {
      examples: ["device revoke cmb2k9x1d0000 9f86d081884c7d65"],
      codes: asking
    })
  )
    .argument("<account>", "the id of the account")
    .argument("<device>", "the id of the device, or its beginning")
    .action((account: string, id: string, options: Json) =>
      accept({ _tag: "Devices", action: { _tag: "Revoke", account, device: id }, isJson: isJson(options) })
    )
}

const addLogLevel = (root: Command, accept: Accept) => {
  json(
    verb(root, "log-level", "show or change what the running server logs, until it ends", {
      examples: ["log-level", "log-level debug"],
      codes: asking
    })
  )
    .argument("[level]", logLevels.join(", "))
    .action((level: string | undefined, options: Json) => {
      const known = logLevels.find((name) => name === level)
      accept(
        level !== undefined && known === undefined
          ? { _tag: "Misuse", text: `'${level}' is no level; there are ${logLevels.join(", ")}` }
          : { _tag: "LogLevel", level: known satisfies LogLevelName | undefined, isJson: isJson(options) }
      )
    })
}

const addDatabase = (root: Command, accept: Accept) => {
  json(
    verb(root, "import", "copy the database of a happier light server into a new one; the other file is only read", {
      examples: ["import --from ~/old/happier.sqlite", "import --from old.sqlite --into /srv/happier --json"],
      codes: [1, 3, 4, 5, 6, 75]
    })
  )
    .requiredOption("--from <file>", "the database of the other server")
    .option("--into <directory>", "a directory that is missing or empty; the data directory unless given")
    .action((options: Json & { readonly from: string; readonly into?: string }) =>
      accept({ _tag: "Import", from: options.from, into: options.into, isJson: isJson(options) })
    )
  json(
    verb(root, "copy", "copy all rows from a database file to PostgreSQL or back, while no server runs", {
      examples: ["copy --to postgres://light@db/light", "copy --from postgres://light@db/light --to light.sqlite"],
      codes: [1, 3, 4, 5, 6, 75],
      notes: "The target must be empty, and gets everything or nothing. A password is better given in PGPASSWORD."
    })
  )
    .option("--from <place>", "the database of the configuration unless given")
    .requiredOption("--to <place>", "a file, or postgres://<user>@<host>/<database>")
    .action(({ from, to, json }: Json & { readonly from?: string; readonly to: string }) =>
      accept({ _tag: "Copy", from, to, isJson: json === true })
    )
  json(
    verb(root, "compact", "give the free space of the database back to the file system", {
      examples: ["compact", "compact --json"],
      codes: [1, 3, 4, [6, "a server uses the database, and its file can only be shortened while no server runs"], 75],
      notes:
        "A running server shortens its file in small steps, for up to a minute. A database of an earlier version is\n" +
        "written anew once, which is possible while no server runs and needs twice the space of its rows, on the\n" +
        "disk and in the directory for temporary files."
    })
  ).action((options: Json) => accept({ _tag: "Compact", isJson: isJson(options) }))
  json(
    verb(root, "migrate", "bring the schema of the database up to date, while no server runs", {
      examples: ["migrate --dry-run", "migrate"],
      codes: [1, 3, 4, 5, 6, 75],
      notes: "`serve` does the same at its start, unless HAPPIER_SQLITE_AUTO_MIGRATE is off. The file is copied first."
    })
  )
    .option("--dry-run", "only print what would be done")
    .action((options: Json & { readonly dryRun?: boolean }) =>
      accept({ _tag: "Migrate", isDryRun: options.dryRun === true, isJson: isJson(options) })
    )
}

interface BackupOptions extends Json {
  readonly to?: string
  readonly keep?: string
  readonly verify?: string
  readonly secret: boolean
}

const backupOf = (options: BackupOptions): Request => {
  const keep = /^[1-9]\d{0,3}$/.test(options.keep ?? "") ? Number(options.keep) : undefined
  if (options.keep !== undefined && keep === undefined) {
    return { _tag: "Misuse", text: `--keep is '${options.keep}'; it is a number from 1 to 9999` }
  }
  const { secret, to, verify } = options
  return { _tag: "Backup", to, keep, verify, withSecret: secret, isJson: isJson(options) }
}

const addBackup = (root: Command, accept: Accept) => {
  json(
    verb(root, "backup", "copy the database as it is now, verify the copy, and remove old ones; the server may run", {
      examples: ["backup", "backup --to /mnt/disk/happier --keep 30", "backup --verify /mnt/disk/happier/old.sqlite"],
      codes: [1, 3, 4],
      notes:
        "The copy is checked from its first page to its last, for references between rows, and for the number of\n" +
        "rows of each table. The master secret is copied beside it, unless the environment gives it."
    })
  )
    .option("--to <directory>", "where it goes; HAPPIER_BACKUP_DIR unless given")
    .option("--keep <number>", "how many backups stay there; HAPPIER_BACKUP_KEEP unless given")
    .option("--verify <file>", "only check a backup that was made before")
    .option("--no-secret", "leave the master secret out")
    .action((options: BackupOptions) => accept(backupOf(options)))
  json(
    verb(root, "restore", "put a backup in the place of the database, while no server runs", {
      examples: ["restore --from ~/.happier/server-light/backups", "restore --from /mnt/disk/happier/old.sqlite"],
      codes: [1, 3, 4, 5, 6],
      notes:
        "The backup is verified first. The database that was there is kept under a name that is printed. A secret\n" +
        "beside the backup is put into the data directory, so that clients stay logged in."
    })
  )
    .requiredOption("--from <path>", "a backup, or a directory of backups, whose newest is taken")
    .action((options: Json & { readonly from: string }) =>
      accept({ _tag: "Restore", from: options.from, isJson: isJson(options) })
    )
}

interface SetupOptions extends Json {
  readonly publicUrl?: string
  readonly trustedProxies?: string
  readonly signUp?: string
  readonly backupDir?: string
  readonly force?: boolean
  readonly yes?: boolean
}

/** The variable of each option of `setup`. */
const setupVariables = [
  ["publicUrl", "PUBLIC_URL"],
  ["trustedProxies", "HAPPIER_TRUSTED_PROXIES"],
  ["signUp", "AUTH_ANONYMOUS_SIGNUP_ENABLED"],
  ["backupDir", "HAPPIER_BACKUP_DIR"]
] as const

const setupOf = (options: SetupOptions): Request => ({
  _tag: "Setup",
  settings: Object.fromEntries(
    setupVariables.flatMap(([option, variable]) => {
      const text = options[option]
      return text === undefined ? [] : [[variable, text]]
    })
  ),
  isForced: options.force === true,
  isQuiet: options.yes === true,
  isJson: isJson(options)
})

const addSetup = (root: Command, accept: Accept) => {
  json(
    verb(root, "setup", "write the configuration file, and say what to type into the app and the clients", {
      examples: [
        "setup",
        "setup --public-url https://box.example.org --trusted-proxies loopback --sign-up first-account --yes"
      ],
      codes: [[1, "the configuration file exists, or cannot be written"], 3],
      notes: "On a terminal it asks for what is not given. Nothing is written when a value cannot be used."
    })
  )
    .option("--public-url <url>", "the address that clients use")
    .option("--trusted-proxies <list>", "the proxy in front: loopback, or its address")
    .option("--sign-up <mode>", "1, first-account or 0: whether a new key may open an account")
    .option("--backup-dir <directory>", "the directory of daily backups")
    .option("--force", "replace a configuration file that is there; it is kept beside the new one")
    .option("--yes", "ask nothing")
    .action((options: SetupOptions) => accept(setupOf(options)))
}

const serviceActions = [
  ["print", "print the unit of systemd, or the job of launchd"],
  ["install", "write the unit, and start the server now and after each boot"],
  ["uninstall", "stop the server, and remove the unit; the data directory stays"]
] as const

const addService = (root: Command, accept: Accept) => {
  const service = root.command("service").description("run the server by the supervisor of the system")
  for (const [action, description] of serviceActions) {
    verb(service, action, description, {
      examples: [`service ${action}`, `service ${action} --run-as happier`],
      codes: [[1, "the unit cannot be written, or the supervisor refused"], 3],
      notes: "Without --run-as it is a unit of this user, which needs `loginctl enable-linger` to run without a login."
    })
      .option("--run-as <user>", "a unit of the whole system that runs as this user; only root installs it")
      .option("--to <directory>", "where the unit is; nothing is started or stopped")
      .action(({ runAs, to }: { readonly runAs?: string; readonly to?: string }) =>
        accept({ _tag: "Service", action, runAs, to })
      )
  }
}

const addAbout = (root: Command, accept: Accept) => {
  json(verb(root, "version", "print the version", { examples: ["version", "version --json"], codes: [] })).action(
    (options: Json) => accept({ _tag: "Version", isJson: isJson(options) })
  )
  const config = root.command("config").description("look at the configuration")
  json(
    verb(config, "print", "print every setting with its value and where it comes from, without secrets", {
      examples: ["config print", "config print --json", "config print --set PORT=4000"],
      codes: [3]
    })
  ).action((options: Json) => accept({ _tag: "Config", action: "print", isJson: isJson(options) }))
  json(
    verb(config, "check", "check the configuration, and name everything that is wrong with it", {
      examples: ["config check", "config check --config /etc/light-server.toml"],
      codes: [3]
    })
  ).action((options: Json) => accept({ _tag: "Config", action: "check", isJson: isJson(options) }))
  verb(config, "schema", "print the JSON Schema of the configuration file", {
    examples: ["config schema", "config schema > light-server.schema.json"],
    codes: []
  })
    // JSON is the only form there is.
    .addOption(new Option("--json").hideHelp())
    .action(() => accept({ _tag: "Config", action: "schema", isJson: true }))
}

/** `NAME=value` of `--set`, added to those before. */
const addSetting = (text: string, before: Settings): Settings => {
  const [, name, value] = /^([A-Z][A-Z0-9_]*)=([^]*)$/.exec(text) ?? []
  if (name === undefined || value === undefined) {
    throw new InvalidArgumentError("It has the form NAME=value.")
  }
  return { ...before, [name]: value }
}

/** What every command takes. */
export interface RootOptions {
  readonly config?: string
  readonly set: Settings
}

export const build = (accept: Accept): Command => {
  const root = new Command(program)
    .description("Machines and sessions online on one SQLite file, or on PostgreSQL.")
    .option("--version", "print the version")
    .option("--config <file>", "the configuration file")
    .addOption(
      new Option("--set <NAME=value>", "a setting, before the environment and the file; may be repeated")
        .argParser(addSetting)
        .default({}, "none")
    )
    .addHelpText(
      "after",
      VerbHelp.render(program, {
        examples: ["serve", "status", "<command> --help"],
        codes: [1, 3, 4, 5, 6, 75],
        notes:
          "Settings are arguments, variables of the environment, or lines of the configuration file, in this order;\n" +
          "docs/operations.md lists them. Without --config the file is light-server.toml in the data directory, if any."
      })
    )
    .helpCommand(false)
    .on("option:version", () => accept({ _tag: "Version", isJson: false }))
  addServe(root, accept)
  addStatus(root, accept)
  addDoctor(root, accept)
  addAccounts(root, accept)
  addDevices(root, accept)
  addLogLevel(root, accept)
  addDatabase(root, accept)
  addBackup(root, accept)
  addSetup(root, accept)
  addService(root, accept)
  addAbout(root, accept)
  return root
}
