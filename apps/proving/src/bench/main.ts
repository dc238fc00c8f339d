/**
 * `npm run bench`: one process per question, one after the other.
 *
 * Each process leads a group of its own and works below one directory. Whatever
 * ends the run, Ctrl-C included, the group is killed and the directory removed.
 */
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { performance } from "node:perf_hooks"
import { type Command, parse, usage } from "./Command.ts"
import * as Machine from "./Machine.ts"
import * as OtherLoad from "../drivers/OtherLoad.ts"
import { type Judged, judged, type Message } from "./Result.ts"
import * as Table from "./Table.ts"
import type { Target } from "./Target.ts"

/** The root of the repository. */
const root = path.resolve(import.meta.dirname, "../../../..")
const say = (text: string) => void process.stdout.write(`${text}\n`)

const workplace = fs.mkdtempSync(path.join(os.tmpdir(), "presence-bench-"))
let running: ChildProcess | undefined

const killGroup = () => {
  if (running?.pid === undefined) return
  try {
    process.kill(-running.pid, "SIGKILL")
  } catch {
    // The group is empty.
  }
}

process.on("exit", () => {
  killGroup()
  fs.rmSync(workplace, { recursive: true, force: true, maxRetries: 5 })
})
for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) {
  process.on(signal, () => process.exit(code))
}

/** Resolves with the results of the process, and with its errors. */
const ask = (target: Target, onResult: (result: Judged) => void): Promise<string | undefined> =>
  new Promise((resolve) => {
    const directory = fs.mkdtempSync(path.join(workplace, `${target.id}-`))
    const entry = path.join(import.meta.dirname, "answer.ts")
    const child = spawn(
      process.execPath,
      ["--expose-gc", "--import", "tsx", entry, path.join(import.meta.dirname, target.file)],
      {
        cwd: root,
        detached: true,
        stdio: ["ignore", "inherit", "inherit", "ipc"],
        env: { ...process.env, TMPDIR: directory }
      }
    )
    running = child
    let isDone = false
    const othersSince = OtherLoad.since(child.pid ?? 0, new Set(target.services))
    child.on("message", (message: Message) => {
      if (message._tag === "Result") return onResult(judged(message.result, othersSince()))
      isDone = true
      // Servers and sockets that a question left open must not keep the next one waiting.
      killGroup()
    })
    child.once("error", (cause) => resolve(String(cause)))
    child.once("exit", (code, signal) => {
      killGroup()
      running = undefined
      fs.rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
      resolve(isDone ? undefined : `ended with ${signal ?? `code ${code}`} before its answer`)
    })
  })

const run = async ({ isCheck, jsonFile, markdownFile, targets }: Command): Promise<number> => {
  const runBegan = performance.now()
  const machine = Machine.describe()
  say(Machine.toText(machine))
  say("")
  say(Table.head)
  const results: Array<Judged> = []
  const failures: Array<string> = []
  for (const target of targets) {
    const began = performance.now()
    const failure = await ask(target, (result) => {
      results.push(result)
      say(Table.row(result))
    })
    const seconds = ((performance.now() - began) / 1000).toFixed(0)
    if (failure !== undefined) {
      failures.push(target.id)
      say(`${target.id}: ${failure} (${seconds} s)`)
    }
  }
  if (jsonFile !== undefined) fs.writeFileSync(jsonFile, `${JSON.stringify({ machine, results }, undefined, 2)}\n`)
  if (markdownFile !== undefined) fs.writeFileSync(markdownFile, Table.markdown(results))
  const named = (verdict: Judged["verdict"]) => results.filter((result) => result.verdict === verdict)
  const list = (judged: ReadonlyArray<Judged>) => judged.map(({ id }) => id).join(", ")
  const missed = named("missed")
  const busy = named("busy")
  const minutes = ((performance.now() - runBegan) / 60_000).toFixed(1)
  say("")
  say(`${named("met").length} of ${results.length} figures meet their target, in ${minutes} minutes`)
  if (missed.length > 0) say(`missed: ${list(missed)}`)
  if (busy.length > 0) {
    say(`not judged, because other programs kept the box busy: ${list(busy)}`)
    say("run these again when nothing else runs")
  }
  if (failures.length > 0) say(`without an answer: ${failures.join(", ")}`)
  return failures.length > 0 || (isCheck && missed.length + busy.length > 0) ? 1 : 0
}

const request = parse(process.argv.slice(2))
switch (request._tag) {
  case "Help":
    process.stdout.write(usage)
    break
  case "Misuse":
    process.stderr.write(`${request.problem}\n\n${usage}`)
    process.exitCode = 2
    break
  case "Run":
    process.exitCode = await run(request.command)
}
