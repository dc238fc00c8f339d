import { assert, describe, it } from "@effect/vitest"
import type { Command } from "commander"
import * as CommandLine from "../../src/cli/CommandLine.ts"
import type { Request } from "../../src/cli/Request.ts"
import * as Verbs from "../../src/cli/Verbs.ts"
import { command } from "../../src/Version.ts"

const cases: ReadonlyArray<readonly [line: string, request: Request]> = [
  ["", { _tag: "Serve" }],
  ["serve", { _tag: "Serve" }],
  ["import --from a.sqlite", { _tag: "Import", from: "a.sqlite", into: undefined, isJson: false }],
  ["import --from=a --into b --json", { _tag: "Import", from: "a", into: "b", isJson: true }],
  ["copy --to p", { _tag: "Copy", from: undefined, to: "p", isJson: false }],
  ["copy --from p --to f --json", { _tag: "Copy", from: "p", to: "f", isJson: true }],
  ["compact", { _tag: "Compact", isJson: false }],
  ["compact --json", { _tag: "Compact", isJson: true }],
  ["version", { _tag: "Version", isJson: false }],
  ["--version", { _tag: "Version", isJson: false }],
  ["version --json", { _tag: "Version", isJson: true }],
  ["config print", { _tag: "Config", action: "print", isJson: false }],
  ["config check --json", { _tag: "Config", action: "check", isJson: true }],
  ["config schema", { _tag: "Config", action: "schema", isJson: true }],
  ["doctor --fix", { _tag: "Doctor", isFixed: true, isJson: false }],
  ["restore --from b", { _tag: "Restore", from: "b", isJson: false }],
  ["backup", { _tag: "Backup", to: undefined, keep: undefined, verify: undefined, withSecret: true, isJson: false }],
  [
    "backup --to d --keep 3 --no-secret",
    { _tag: "Backup", to: "d", keep: 3, verify: undefined, withSecret: false, isJson: false }
  ],
  ["setup", { _tag: "Setup", settings: {}, isForced: false, isQuiet: false, isJson: false }],
  [
    "setup --public-url https://a --sign-up 0 --yes --force",
    {
      _tag: "Setup",
      settings: { PUBLIC_URL: "https://a", AUTH_ANONYMOUS_SIGNUP_ENABLED: "0" },
      isForced: true,
      isQuiet: true,
      isJson: false
    }
  ],
  ["service print", { _tag: "Service", action: "print", runAs: undefined, to: undefined }],
  ["service install --run-as a --to b", { _tag: "Service", action: "install", runAs: "a", to: "b" }],
  ["--set PORT=1", { _tag: "Serve" }],
  ["status", { _tag: "Status", isJson: false, isWatched: false }],
  ["status --watch --json", { _tag: "Status", isJson: true, isWatched: true }],
  ["account list --json", { _tag: "Accounts", action: { _tag: "List" }, isJson: true }],
  ["account show a1", { _tag: "Accounts", action: { _tag: "Show", account: "a1" }, isJson: false }],
  ["account delete a1 --yes", { _tag: "Accounts", action: { _tag: "Delete", account: "a1" }, isJson: false }],
  ["device list a1", { _tag: "Devices", action: { _tag: "List", account: "a1" }, isJson: false }],
  ["device revoke a1 d1", { _tag: "Devices", action: { _tag: "Revoke", account: "a1", device: "d1" }, isJson: false }],
  ["log-level", { _tag: "LogLevel", level: undefined, isJson: false }],
  ["log-level debug --json", { _tag: "LogLevel", level: "debug", isJson: true }],
  ["migrate --dry-run", { _tag: "Migrate", isDryRun: true, isJson: false }]
]

/** `account list` for each command that can be run. */
const linesOf = (command: Command): ReadonlyArray<string> =>
  command.commands.length === 0
    ? [command.name()]
    : command.commands.flatMap((sub) =>
        linesOf(sub).map((line) => (command.parent === null ? line : `${command.name()} ${line}`))
      )

const parse = (line: string) => CommandLine.parse(line.split(" ").filter((word) => word !== "")).request

describe("CommandLine", () => {
  it.each(cases)("reads `%s`", (line, request) => {
    assert.deepStrictEqual(parse(line), request)
  })

  it("takes settings and the configuration file, before and after the command", () => {
    const { request, settings } = CommandLine.parse([
      "--set",
      "PORT=1",
      "status",
      "--set",
      "PUBLIC_URL=https://a/?b=c",
      "--config",
      "a.toml",
      "--json"
    ])
    assert.deepStrictEqual(request, { _tag: "Status", isJson: true, isWatched: false })
    assert.deepStrictEqual(settings, {
      PORT: "1",
      PUBLIC_URL: "https://a/?b=c",
      HAPPIER_CONFIG_FILE: "a.toml"
    })
  })

  it.each(["--help", "-h", "import --help", "compact --help"])("answers `%s` with a text and no error", (line) => {
    const request = parse(line)
    assert.strictEqual(request._tag, "Help")
    assert.include(request._tag === "Help" ? request.text : "", `Usage: ${command}`)
  })

  it.each(linesOf(Verbs.build(() => {})))(
    "shows examples that are understood, and exit codes, for `%s --help`",
    (line) => {
      const request = parse(`${line} --help`)
      const text = request._tag === "Help" ? request.text : ""
      const [, examples = "", codes = ""] = /Examples:\n([^]*?)\n\nExit codes:\n([^]*)/.exec(text) ?? []
      assert.match(codes, /^ {3}0 {2}done\n/)
      assert.match(codes, /^ {3}2 {2}/m)
      for (const example of examples.split("\n")) {
        const words = example
          .trim()
          .replace(/ > .*/, "")
          .slice(command.length)
          .trim()
          .split(" ")
          .filter((word) => word !== "")
        assert.notInclude(["Misuse", "Help"], CommandLine.parse(words).request._tag, example)
      }
    }
  )

  const misuses: ReadonlyArray<readonly [line: string, text: string]> = [
    ["improt", `unknown command 'improt' (Did you mean import?); see \`${command} --help\``],
    ["import", `required option '--from <file>' not specified; see \`${command} import --help\``],
    ["import --from a --form x", `unknown option '--form' (Did you mean --from?); see \`${command} import --help\``],
    ["import --from", `option '--from <file>' argument missing; see \`${command} import --help\``],
    [
      "compact now",
      `too many arguments for 'compact'. Expected 0 arguments but got 1.; see \`${command} compact --help\``
    ],
    ["--port 3005", `unknown option '--port'; see \`${command} --help\``],
    ["config", `one of print, check, schema is missing; see \`${command} config --help\``],
    ["config show", `unknown command 'show'; see \`${command} config --help\``],
    ["backup --keep none", `--keep is 'none'; it is a number from 1 to 9999; see \`${command} backup --help\``],
    [
      "serve --set port",
      "option '--set <NAME=value>' argument 'port' is invalid. It has the form NAME=value.; " +
        `see \`${command} serve --help\``
    ],
    ["version --yaml", `unknown option '--yaml'; see \`${command} version --help\``],
    ["account delete a1", `required option '--yes' not specified; see \`${command} account delete --help\``],
    [
      "log-level loud",
      "'loud' is no level; there are trace, debug, info, warn, error, fatal, silent; " +
        `see \`${command} log-level --help\``
    ]
  ]

  it.each(misuses)("calls `%s` a misuse, in one line", (line, text) => {
    assert.deepStrictEqual(parse(line), { _tag: "Misuse", text })
  })
})
