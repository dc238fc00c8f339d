import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import fs from "node:fs"
import path from "node:path"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"
import { knobs } from "../../src/config/ServerKnobs.ts"
import * as ServiceUnit from "../../src/operator/ServiceUnit.ts"

const options: ServiceUnit.ServiceOptions = {
  node: process.execPath,
  main: "/opt/light-server/main.js",
  dataDirectory: "/var/lib/light-server",
  otherDirectories: ["/mnt/backups"],
  configFile: undefined,
  runAs: "daemon",
  shutdownTimeoutMillis: 10_000
}

/** The unit of the package, with the shutdown timeout that holds unless it is set. */
const packaged = ServiceUnit.packaged(knobs.shutdownTimeoutMillis.fallback)

const delivered = path.resolve(import.meta.dirname, "../../../../deploy/systemd", ServiceUnit.unitName)

const settingsOf = (unit: string): ReadonlyArray<string> => unit.split("\n").filter((line) => /^\w+=/.test(line))

const hasAnalyze = spawnSync("systemd-analyze", ["--version"]).status === 0

const analyze = (verb: ReadonlyArray<string>, text: string) =>
  Effect.map(TemporaryDirectory.make, (directory) => {
    const file = path.join(directory, ServiceUnit.unitName)
    fs.writeFileSync(file, text)
    const { status, stderr, stdout } = spawnSync("systemd-analyze", [...verb, file], { encoding: "utf8" })
    return { status, output: stdout + stderr }
  })

describe("ServiceUnit", () => {
  it("restarts the server only where another start can help", () => {
    const unit = ServiceUnit.systemd(options)
    assert.match(unit, /^Type=notify$/m)
    assert.match(unit, /^RestartPreventExitStatus=2 3 5 6$/m)
    assert.match(unit, /^ReadWritePaths=\/var\/lib\/light-server \/mnt\/backups$/m)
    assert.match(unit, /^ProtectHome=yes$/m)
    assert.match(unit, /^TimeoutStopSec=15$/m)
    assert.match(ServiceUnit.systemd({ ...options, dataDirectory: "/home/me/data" }), /^ProtectHome=read-only$/m)
  })

  it("has no line in the unit of a user that only the manager of the system can follow", () => {
    const unit = ServiceUnit.systemd({ ...options, runAs: undefined })
    assert.notMatch(unit, /^(User|ProtectSystem|PrivateDevices|CapabilityBoundingSet)=/m)
    assert.match(unit, /^WantedBy=default\.target$/m)
  })

  it("quotes what the supervisor would replace", () => {
    const unit = ServiceUnit.systemd({ ...options, main: `/opt/a "b" 100%/$x.js`, configFile: "/etc/l s.toml" })
    assert.include(unit, String.raw`"/opt/a \"b\" 100%%/$$x.js" "serve" "--config" "/etc/l s.toml"`)
  })

  it("is the file in deploy/systemd (UPDATE_DOCS=1 writes it)", () => {
    if (process.env["UPDATE_DOCS"] === "1") fs.writeFileSync(delivered, packaged)
    assert.strictEqual(fs.readFileSync(delivered, "utf8"), packaged)
  })

  it("differs from the file in deploy/systemd only in the program, its user and its directories", () => {
    const own = new Set(settingsOf(ServiceUnit.systemd(options)))
    const other = new Set(settingsOf(packaged))
    const namesOf = (lines: ReadonlySet<string>, others: ReadonlySet<string>) =>
      [...lines].filter((line) => !others.has(line)).map((line) => line.replace(/=.*/, ""))
    assert.deepStrictEqual(namesOf(own, other), ["ExecStart", "Environment", "User", "ReadWritePaths"])
    const packageOnly = ["ExecStart", "Environment", "EnvironmentFile", "DynamicUser", "StateDirectory"]
    assert.deepStrictEqual(namesOf(other, own), [...packageOnly, "StateDirectoryMode"])
  })

  const units = [
    ["service install", ServiceUnit.systemd({ ...options, main: process.execPath })],
    ["deploy/systemd", packaged.replace(/^ExecStart=.*$/m, `ExecStart=${process.execPath} serve`)]
  ] as const
  for (const [name, unit] of units) {
    it.scoped.skipIf(!hasAnalyze)(`is a unit that systemd understands, and exposes little: ${name}`, () =>
      Effect.gen(function* () {
        const verified = yield* analyze(["verify"], unit)
        assert.notMatch(verified.output, /light-server\.service:\d+:|Unknown|Failed to parse/)
        const { output } = yield* analyze(["security", "--offline=true"], unit)
        const exposure = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(output)?.[1])
        assert.isAtMost(exposure, 2.5, output)
      })
    )
  }

  it("is a property list that launchd reads", () => {
    const text = ServiceUnit.launchd({ ...options, dataDirectory: "/Users/a & b/data" })
    assert.include(text, "<string>/Users/a &amp; b/data</string>")
    const parser = "import plistlib, sys, json; print(json.dumps(plistlib.loads(sys.stdin.buffer.read())))"
    const parsed = spawnSync("python3", ["-c", parser], { encoding: "utf8", input: text })
    if (parsed.error !== undefined) return
    assert.strictEqual(parsed.status, 0, parsed.stderr)
    assert.deepInclude(JSON.parse(parsed.stdout), {
      Label: "light-server",
      ProgramArguments: [process.execPath, "/opt/light-server/main.js", "serve"],
      RunAtLoad: true
    })
  })
})
