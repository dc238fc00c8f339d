#!/usr/bin/env node
/** The process: runs the command of its arguments. Each command is loaded when it is used. */
import * as Arguments from "./cli/Arguments.ts"
import * as CommandLine from "./cli/CommandLine.ts"
import type { Request } from "./cli/Request.ts"
import { programName } from "./Version.ts"

type Runners = { readonly [Tag in Request["_tag"]]: (request: Extract<Request, { readonly _tag: Tag }>) => unknown }

const runners: Runners = {
  Serve: async () => (await import("./cli/ServeCommand.ts")).run(),
  Status: async (request) => (await import("./cli/StatusCommand.ts")).run(request),
  Accounts: async (request) => (await import("./cli/AccountCommand.ts")).run(request),
  Devices: async (request) => (await import("./cli/DeviceCommand.ts")).run(request),
  LogLevel: async (request) => (await import("./cli/LogLevelCommand.ts")).run(request),
  Import: async (request) => (await import("./cli/ImportCommand.ts")).run(request),
  Copy: async (request) => (await import("./cli/CopyCommand.ts")).run(request),
  Compact: async (request) => (await import("./cli/CompactCommand.ts")).run(request),
  Migrate: async (request) => (await import("./cli/MigrateCommand.ts")).run(request),
  Backup: async (request) => (await import("./cli/BackupCommand.ts")).run(request),
  Doctor: async (request) => (await import("./cli/DoctorCommand.ts")).run(request),
  Restore: async (request) => (await import("./cli/RestoreCommand.ts")).run(request),
  Setup: async (request) => (await import("./cli/SetupCommand.ts")).run(request),
  Service: async (request) => (await import("./cli/ServiceCommand.ts")).run(request),
  Config: async (request) => (await import("./cli/ConfigCommand.ts")).run(request),
  Version: async ({ isJson }) => {
    const { render } = await import("./cli/VersionCommand.ts")
    process.stdout.write(render(isJson))
  },
  Help: ({ text }) => process.stdout.write(text),
  Misuse: ({ text }) => {
    process.stderr.write(`${programName}: ${text}\n`)
    // ExitCode.usage, which would load every failure of the server.
    process.exitCode = 2
  }
}

const { request, settings } = CommandLine.parse(process.argv.slice(2))
Arguments.keep(settings)
await (runners[request._tag] as (request: Request) => unknown)(request)
