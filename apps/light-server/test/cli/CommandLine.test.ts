import { assert, describe, it } from "@effect/vitest"
import * as CommandLine from "../../src/cli/CommandLine.ts"

const cases: ReadonlyArray<readonly [line: string, request: CommandLine.Request]> = [
  ["", { _tag: "Serve" }],
  ["serve", { _tag: "Serve" }],
  ["import --from a.sqlite", { _tag: "Import", from: "a.sqlite", into: undefined, isJson: false }],
  ["import --from=a --into b --json", { _tag: "Import", from: "a", into: "b", isJson: true }],
  ["compact", { _tag: "Compact", isJson: false }],
  ["compact --json", { _tag: "Compact", isJson: true }],
  ["version", { _tag: "Version", isJson: false }],
  ["--version", { _tag: "Version", isJson: false }],
  ["version --json", { _tag: "Version", isJson: true }],
  ["config print", { _tag: "PrintConfig" }]
]

const parse = (line: string) => CommandLine.parse(line.split(" ").filter((word) => word !== ""))

describe("CommandLine", () => {
  it.each(cases)("reads `%s`", (line, request) => {
    assert.deepStrictEqual(parse(line), request)
  })

  it.each(["--help", "-h", "import --help", "compact --help"])("answers `%s` with a text and no error", (line) => {
    const request = parse(line)
    assert.strictEqual(request._tag, "Help")
    assert.include(request._tag === "Help" ? request.text : "", "Usage: light-server")
  })

  const misuses: ReadonlyArray<readonly [line: string, mention: string]> = [
    ["improt", "unknown command 'improt'\n(Did you mean import?)"],
    ["import", "required option '--from <file>' not specified"],
    ["import --from a --form x", "unknown option '--form'"],
    ["import --from", "argument missing"],
    ["compact now", "too many arguments for 'compact'"],
    ["serve now", "too many arguments for 'serve'"],
    ["--port 3005", "unknown option '--port'"],
    ["config", "Usage: light-server config"],
    ["config show", "unknown command 'show'"],
    ["version --yaml", "unknown option '--yaml'"]
  ]

  it.each(misuses)("calls `%s` a misuse and shows what is possible", (line, mention) => {
    const request = parse(line)
    assert.strictEqual(request._tag, "Misuse")
    const text = request._tag === "Misuse" ? request.text : ""
    assert.include(text, mention)
    assert.include(text, "Usage: light-server")
  })
})
