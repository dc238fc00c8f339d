/** `service`: runs the server by the supervisor of the system. */
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import fs from "node:fs"
import os from "node:os"
import path from "node:path"
import { fileVariable } from "../config/ConfigFileName.ts"
import type * as ServerConfig from "../config/ServerConfig.ts"
import { ServiceFailed } from "../operator/ServiceFailed.ts"
import * as ServiceUnit from "../operator/ServiceUnit.ts"
import * as Configuration from "./Configuration.ts"
import * as Program from "./Program.ts"
import { command } from "../Version.ts"

export interface Options {
  readonly action: "print" | "install" | "uninstall"
  /** User of a unit of the whole system, which only root installs. The unit of this user, unless given. */
  readonly runAs: string | undefined
  /** Where the unit is written; then nothing is started or stopped. */
  readonly to: string | undefined
}

interface Service {
  readonly file: string
  readonly text: string
  /** What starts it, and what stops it for good. */
  readonly start: ReadonlyArray<ReadonlyArray<string>>
  readonly stop: ReadonlyArray<ReadonlyArray<string>>
}

const optionsOf = (config: ServerConfig.ServerConfig, runAs: string | undefined): ServiceUnit.ServiceOptions => {
  const { directory } = config.backup
  return {
    node: process.execPath,
    main: fs.realpathSync(process.argv[1] ?? ""),
    dataDirectory: config.dataDirectory,
    otherDirectories: [path.dirname(config.databaseFile), directory].filter((other) =>
      path.relative(config.dataDirectory, other).startsWith("..")
    ),
    configFile: process.env[fileVariable] === undefined ? undefined : path.resolve(process.env[fileVariable]),
    runAs,
    shutdownTimeoutMillis: config.shutdownTimeoutMillis
  }
}

const ofLaunchd = (config: ServerConfig.ServerConfig, to: string | undefined): Service => {
  const directory = to ?? path.join(os.homedir(), "Library/LaunchAgents")
  const file = path.join(directory, `${ServiceUnit.jobLabel}.plist`)
  const domain = `gui/${process.getuid?.() ?? 0}`
  return {
    file,
    text: ServiceUnit.launchd(optionsOf(config, undefined)),
    start: [["launchctl", "bootstrap", domain, file]],
    stop: [["launchctl", "bootout", `${domain}/${ServiceUnit.jobLabel}`]]
  }
}

const ofSystemd = (config: ServerConfig.ServerConfig, { runAs, to }: Options): Service => {
  const isSystem = runAs !== undefined
  const directory = to ?? (isSystem ? "/etc/systemd/system" : path.join(os.homedir(), ".config/systemd/user"))
  const systemctl = isSystem ? ["systemctl"] : ["systemctl", "--user"]
  return {
    file: path.join(directory, ServiceUnit.unitName),
    text: ServiceUnit.systemd(optionsOf(config, runAs)),
    start: [
      [...systemctl, "daemon-reload"],
      [...systemctl, "enable", "--now", ServiceUnit.unitName]
    ],
    stop: [[...systemctl, "disable", "--now", ServiceUnit.unitName]]
  }
}

const attempt = (doing: string, run: () => void) =>
  Effect.try({
    try: run,
    catch: (cause) =>
      new ServiceFailed({ reason: `cannot ${doing}: ${cause instanceof Error ? cause.message : String(cause)}` })
  })

const call = ([program = "", ...args]: ReadonlyArray<string>) =>
  Effect.suspend(() => {
    const { error, status, stderr } = spawnSync(program, args, { encoding: "utf8", timeout: 60_000 })
    if (status === 0) return Effect.void
    const reason = (error?.message ?? stderr).trim()
    return Effect.fail(new ServiceFailed({ reason: `${[program, ...args].join(" ")} failed: ${reason}` }))
  })

const install = ({ file, start, text }: Service, isStarted: boolean) =>
  Effect.gen(function* () {
    yield* attempt(`write ${file}`, () => {
      fs.mkdirSync(path.dirname(file), { recursive: true })
      fs.writeFileSync(file, text, { mode: 0o644 })
    })
    yield* Program.print(`wrote ${file}\n`)
    if (!isStarted) return
    for (const words of start) yield* call(words)
    yield* Program.print(`the server is started, now and after each boot; \`${command} status\` shows how it is\n`)
  })

const uninstall = ({ file, stop }: Service, isStopped: boolean) =>
  Effect.gen(function* () {
    if (!fs.existsSync(file)) return yield* new ServiceFailed({ reason: `${file} does not exist` })
    if (isStopped) for (const words of stop) yield* call(words)
    yield* attempt(`remove ${file}`, () => fs.rmSync(file))
    yield* Program.print(`removed ${file}; the data directory stays\n`)
  })

const program = (options: Options) =>
  Effect.gen(function* () {
    const { config } = yield* Configuration.load
    const service = process.platform === "darwin" ? ofLaunchd(config, options.to) : ofSystemd(config, options)
    switch (options.action) {
      case "print":
        return yield* Program.print(service.text)
      case "install":
        return yield* install(service, options.to === undefined)
      case "uninstall":
        return yield* uninstall(service, options.to === undefined)
    }
  })

export const run = (options: Options): void => Program.runCommand(program(options), { withinMillis: 10_000 })
