#!/usr/bin/env node
/** The process: runs the command of its arguments. Each command is loaded when it is used. */
import * as CommandLine from "./cli/CommandLine.ts"

const request = CommandLine.parse(process.argv.slice(2))

switch (request._tag) {
  case "Serve": {
    const command = await import("./cli/ServeCommand.ts")
    command.run()
    break
  }
  case "Import": {
    const command = await import("./cli/ImportCommand.ts")
    command.run(request)
    break
  }
  case "Compact": {
    const command = await import("./cli/CompactCommand.ts")
    command.run(request)
    break
  }
  case "PrintConfig": {
    const command = await import("./cli/ConfigCommand.ts")
    command.run()
    break
  }
  case "Version": {
    const command = await import("./cli/VersionCommand.ts")
    process.stdout.write(command.render(request.isJson))
    break
  }
  case "Help":
    process.stdout.write(request.text)
    break
  case "Misuse": {
    const { usage } = await import("./ExitCode.ts")
    process.stderr.write(request.text)
    process.exitCode = usage
  }
}
