/**
 * Goal: the program does what its arguments ask for and leaves nothing behind, however it ends.
 * Method: the built program as a group of processes of its own, with a directory for temporary files of its own.
 */
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { Client } from "pg"
import { postgresUrl } from "./postgresUrl.ts"

const main = fileURLToPath(new URL("../../dist/src/main.js", import.meta.url))

let box = ""
beforeEach(() => {
  box = fs.mkdtempSync(path.join(os.tmpdir(), "contention-lab-box-"))
})
afterEach(() => fs.rmSync(box, { recursive: true, force: true }))

interface Program {
  readonly child: ChildProcess
  readonly group: number
  readonly ended: Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>
}

const start = (...args: ReadonlyArray<string>): Program => {
  const temporary = path.join(box, "tmp")
  fs.mkdirSync(temporary, { recursive: true })
  const child = spawn(process.execPath, [main, ...args], { detached: true, env: { ...process.env, TMPDIR: temporary } })
  let [stdout, stderr] = ["", ""]
  child.stdout?.on("data", (chunk) => (stdout += String(chunk)))
  child.stderr?.on("data", (chunk) => (stderr += String(chunk)))
  const ended = once(child, "close").then(([code]) => ({ code: code as number | null, stdout, stderr }))
  return { child, group: child.pid ?? 0, ended }
}

const temporaryFiles = (): ReadonlyArray<string> => fs.readdirSync(path.join(box, "tmp"))

const isAlive = (group: number): boolean => {
  try {
    process.kill(-group, 0)
    return true
  } catch {
    return false
  }
}

/** What was told to end may need a moment to be gone. */
const isGone = async (group: number): Promise<boolean> => {
  for (let look = 0; look < 100 && isAlive(group); look++) await sleep(50)
  return !isAlive(group)
}

const short = ["--seconds", "1", "--sessions", "3", "--round-trip", "1", "--strategies"]

describe("the program", () => {
  it(
    "measures, reports in three ways and leaves nothing but the file it was asked for",
    { timeout: 90_000 },
    async () => {
      const html = path.join(box, "report.html")
      const strategies = "per-row-roundtrip,per-row-prisma,presence-effect"
      const program = start(...short, strategies, "--foreign-lock", "--json", "--html", html)
      const { code, stderr, stdout } = await program.ended
      assert.strictEqual(code, 0, stderr)
      const report = JSON.parse(stdout)
      assert.deepStrictEqual(
        report.runs.map((run: { readonly strategy: string }) => run.strategy),
        strategies.split(",")
      )
      for (const run of report.runs) {
        assert.isAbove(run.registration.count, 0)
        assert.isAtLeast(run.registration.maxMillis, run.registration.p50Millis)
        assert.strictEqual(run.evidence.acknowledgedMissingCount, 0)
        assert.include(["steady", "strained", "collapsed"], run.verdict)
      }
      assert.deepStrictEqual(temporaryFiles(), [])
      assert.isTrue(await isGone(program.group))

      const page = fs.readFileSync(html, "utf8")
      // Nothing is fetched: no address, no element and no call that would.
      assert.notMatch(page, /\b(src|href)\s*=|@import|url\(|\bfetch\(|XMLHttpRequest|WebSocket|EventSource|\bimport\(/)
      assert.include(page, "default-src 'none'")
      assert.notMatch(page, /\/\*\{\w+\}\*\//)
      assert.include(page, "uPlot")
      const data = JSON.parse(/<script type="application\/json" id="data">(.*)<\/script>/.exec(page)?.[1] ?? "")
      assert.match(data.headline, /registered/)
      assert.strictEqual(data.points.length, 3)
      assert.strictEqual(data.sentences.length, 3)
    }
  )

  it("prints the answer, tables and a picture, and where it stands", { timeout: 90_000 }, async () => {
    const program = start("--virtual", "--seconds", "15", "--strategies", "per-row-roundtrip,presence-effect")
    const { code, stderr, stdout } = await program.ended
    assert.strictEqual(code, 0, stderr)
    assert.match(stdout, /^per-row-roundtrip collapsed: [^]*\n\nper-row-roundtrip collapsed: [^\n]+\n[^\n]+\n$/)
    assert.match(stdout, /- presence-effect, 9 sessions \(own thread\) did not collapse: /)
    assert.match(stdout, /^per-row-roundtrip +\S+ s +10 s +\d+\/\d+$/m)
    // A log or a pipe gets lines without a bar and without codes of a terminal.
    assert.match(stderr, /^0 % {2}starting\n/)
    assert.match(stderr, /^100 % {2}/m)
    for (const mark of ["\u001b", "█"]) assert.notInclude(stdout + stderr, mark)
    assert.deepStrictEqual(temporaryFiles(), [])
  })

  it.each(["SIGINT", "SIGTERM"] as const)("cleans up after %s", { timeout: 90_000 }, async (signal) => {
    const program = start(
      "--seconds",
      "60",
      "--strategies",
      "per-row-roundtrip,per-row-prisma,presence-effect-roundtrip"
    )
    const isRunning = () => temporaryFiles().some((folder) => fs.readdirSync(path.join(box, "tmp", folder)).length > 3)
    for (let look = 0; look < 600 && !isRunning(); look++) await sleep(50)
    assert.isTrue(isRunning(), "the strategies have their files")
    // A terminal tells the whole group, a supervisor only the one it started.
    if (signal === "SIGINT") process.kill(-program.group, signal)
    else program.child.kill(signal)
    const { code, stdout } = await program.ended
    assert.strictEqual(code, signal === "SIGINT" ? 130 : 143)
    assert.strictEqual(stdout, "")
    assert.deepStrictEqual(temporaryFiles(), [])
    assert.isTrue(await isGone(program.group))
  })

  describe.skipIf(postgresUrl === undefined)("on PostgreSQL", () => {
    const url = postgresUrl ?? ""

    const schemas = async (): Promise<ReadonlyArray<string>> => {
      const client = new Client({ connectionString: url })
      await client.connect()
      const { rows } = await client.query<{ readonly name: string }>(
        "SELECT nspname AS name FROM pg_namespace WHERE nspname LIKE 'contention_lab_%'"
      )
      await client.end()
      return rows.map(({ name }) => name)
    }

    it("measures, says where, and leaves nothing behind", { timeout: 90_000 }, async () => {
      const program = start("--database", url, ...short, "per-row-roundtrip,presence-effect", "--json")
      const { code, stderr, stdout } = await program.ended
      assert.strictEqual(code, 0, stderr)
      const report = JSON.parse(stdout)
      assert.deepInclude(report.scenario, { database: "postgres", connections: 4 })
      assert.strictEqual(report.runs.length, 2)
      for (const run of report.runs) assert.strictEqual(run.evidence.acknowledgedMissingCount, 0)
      assert.match(report.server, /^PostgreSQL \d+\.\S* .*at postgres:\/\/[^@]+$/)
      assert.deepStrictEqual(await schemas(), [])
      assert.isTrue(await isGone(program.group))
    })

    it("drops its schemas after SIGINT", { timeout: 90_000 }, async () => {
      const program = start("--database", url, "--seconds", "60", "--strategies", "per-row-roundtrip,presence-effect")
      for (let look = 0; look < 600 && (await schemas()).length === 0; look++) await sleep(50)
      assert.isAbove((await schemas()).length, 0)
      await sleep(1_000)
      process.kill(-program.group, "SIGINT")
      const { code, stdout } = await program.ended
      assert.strictEqual(code, 130)
      assert.strictEqual(stdout, "")
      assert.deepStrictEqual(await schemas(), [])
      assert.isTrue(await isGone(program.group))
    })

    it("says why a database cannot be used, without the password", { timeout: 30_000 }, async () => {
      const away = new URL(url)
      away.pathname = "/there_is_no_such_database"
      away.password ||= "s3cret"
      const unknown = await start("--database", away.href).ended
      assert.strictEqual(unknown.code, 2)
      assert.match(unknown.stderr, /error: --database: postgres:\/\/\S+ cannot be used \(3D000\)/)
      assert.notInclude(unknown.stderr, away.password)
    })
  })

  it("starts a PostgreSQL of its own, and takes it away", { timeout: 120_000 }, async () => {
    // The server may run as another user, who has to get through.
    fs.chmodSync(box, 0o711)
    const program = start("--database", "embedded", ...short, "presence-effect", "--json")
    const { code, stderr, stdout } = await program.ended
    assert.strictEqual(code, 0, stderr)
    const report = JSON.parse(stdout)
    assert.strictEqual(report.runs[0].evidence.acknowledgedMissingCount, 0)
    const [, port = ""] = /at postgres:\/\/127\.0\.0\.1:(\d+)\/postgres, started for this run/.exec(report.server) ?? []
    assert.notStrictEqual(port, "")
    const answer = await start("--database", `postgres://postgres@127.0.0.1:${port}/postgres`).ended
    assert.strictEqual(answer.code, 2)
    assert.include(answer.stderr, `postgres://127.0.0.1:${port}/postgres cannot be reached (ECONNREFUSED)`)
    assert.deepStrictEqual(temporaryFiles(), [])
  })

  it("refuses what it does not understand before it does anything", { timeout: 30_000 }, async () => {
    const misused = await start("--sessions", "none").ended
    assert.strictEqual(misused.code, 2)
    assert.include(misused.stderr, "--help lists what there is")
    const nowhere = await start("--html", path.join(box, "missing", "report.html")).ended
    assert.strictEqual(nowhere.code, 2)
    assert.include(nowhere.stderr, "the folder is not there")
    assert.deepStrictEqual(temporaryFiles(), [])
  })
})
