/**
 * Goal: every example does what it says, the README shows code that runs, and every public module has an example.
 * Method: run each example and assert its outcome; look up every TypeScript
 * block of the README in the examples. `npm run check -- docs` compiles and runs the examples of modules; here is
 * checked that it finds one in each, and that the example uses its module.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as esbuild from "esbuild"
import * as ChildProcess from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as customLane from "../examples/custom-lane.ts"
import * as ownKinds from "../examples/own-kinds.ts"
import * as postgresHost from "../examples/postgres-host.ts"
import * as postgresReplicas from "../examples/postgres-replicas.ts"
import * as prismaHost from "../examples/prisma-host.ts"
import * as promiseHost from "../examples/promise-host.ts"
import { inject } from "vitest"
import { makePostgres } from "./support/postgresWorld.ts"
import { readRows, temporaryDirectory } from "./support/temporaryFile.ts"

const freshFile = Effect.map(temporaryDirectory, (directory) => path.join(directory, "light.sqlite"))

const library = path.join(import.meta.dirname, "..")

/**
 * The arguments with which Node runs a program against the package that was built, as a reader does. It is given as
 * text: with a loader for TypeScript, the modules of Effect would load more slowly.
 */
const programArgs = (name: string, filename: string): ReadonlyArray<string> => {
  const source = fs.readFileSync(path.join(library, "examples", name), "utf8")
  const { code } = esbuild.transformSync(source, { loader: "ts", format: "esm", target: "node20" })
  return ["--input-type=module", "--eval", code, "--", name, filename]
}

const runProgram = (name: string, filename: string): string =>
  ChildProcess.execFileSync(process.execPath, programArgs(name, filename), {
    cwd: library,
    encoding: "utf8",
    timeout: 60_000
  })

/** Starts the server on a free port, asks it as clients do, and ends it with a signal. */
const driveServer = async (filename: string) => {
  const server = ChildProcess.spawn(process.execPath, programArgs("fastify-server.ts", filename), {
    cwd: library,
    env: { ...process.env, PORT: "0" },
    stdio: ["ignore", "pipe", "inherit"]
  })
  const ended = new Promise<number | null>((resolve) => server.once("close", resolve))
  try {
    const address = await new Promise<string>((resolve, reject) => {
      server.stdout.once("data", (line) => resolve(String(line).trim().replace("listening on ", "")))
      server.once("close", () => reject(new Error("the server ended")))
    })
    const ask = async (method: string, target: string): Promise<unknown> =>
      (await fetch(`${address}${target}`, { method })).json()
    const answers = [
      await ask("PUT", "/devices/phone"),
      await ask("POST", "/devices/phone/beats"),
      await ask("GET", "/devices/phone"),
      await ask("GET", "/devices/tablet")
    ]
    server.kill("SIGTERM")
    return { answers, exitCode: await ended }
  } finally {
    server.kill("SIGKILL")
  }
}

describe("examples", () => {
  it.scopedLive("first-program registers a device and writes its heartbeat before it ends", () =>
    Effect.gen(function* () {
      const filename = yield* freshFile
      const before = Date.now()
      assert.strictEqual(runProgram("first-program.ts", filename), "the phone is online\n")
      // Checked before the file is read: a reader makes a log file of its own.
      assert.isFalse(fs.existsSync(`${filename}-wal`), "the log is emptied and gone")
      const [row, ...others] = readRows(filename, "SELECT id, accountId, active, lastActiveAt FROM Device")
      assert.deepInclude(row, { id: "phone", accountId: "ann", active: 1 })
      assert.isAtLeast(Number(row?.["lastActiveAt"]), before)
      assert.deepStrictEqual(others, [])
    })
  )

  it.scopedLive("own-tables keeps rows of two kinds of tables online", () =>
    Effect.gen(function* () {
      const filename = yield* freshFile
      assert.match(runProgram("own-tables.ts", filename), /^CREATE TABLE[^]*\n2\n$/)
    })
  )

  it.scopedLive("fastify-server answers, and writes what it was told before it ends", () =>
    Effect.gen(function* () {
      const filename = yield* freshFile
      const { exitCode, answers } = yield* Effect.promise(() => driveServer(filename))
      assert.deepStrictEqual(answers, [{ id: "phone" }, { outcome: "online" }, { isOnline: true }, { isOnline: false }])
      assert.strictEqual(exitCode, 0)
      assert.deepStrictEqual(readRows(filename, "SELECT id, active FROM Device"), [{ id: "phone", active: 1 }])
    })
  )

  it.effect("custom-lane serves its lane where the policy puts it", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* customLane.servingOrder(customLane.policy), [
        "control",
        "data",
        "replication",
        "presence",
        "maintenance"
      ])
      assert.deepStrictEqual(yield* customLane.servingOrder(customLane.standby), [
        "replication",
        "control",
        "data",
        "presence",
        "maintenance"
      ])
      assert.deepInclude(
        customLane.policy.lanes.find(({ lane }) => lane === "data"),
        { capacity: 2_048 }
      )
    })
  )

  it.scopedLive("promise-host answers 201, then 409, and writes the heartbeat before it ends", () =>
    Effect.gen(function* () {
      const filename = yield* freshFile
      assert.deepStrictEqual(yield* Effect.promise(() => promiseHost.run(filename)), [201, 409, 1])
      assert.deepStrictEqual(readRows(filename, "SELECT id, active FROM Machine"), [{ id: "machine-1", active: 1 }])
    })
  )

  it.scopedLive("prisma-host runs the transactions of its client one after the other, and none meets a lock", () =>
    Effect.gen(function* () {
      const filename = yield* freshFile
      assert.deepStrictEqual(yield* Effect.promise(() => prismaHost.run(filename)), { machines: 1, sessions: 9 })
      assert.deepStrictEqual(readRows(filename, "SELECT count(*) AS alive FROM Session WHERE active = 1"), [
        { alive: 9 }
      ])
    })
  )

  it.scopedLive("own-kinds writes two laptops with one id, and a sensor that has no account", () =>
    Effect.gen(function* () {
      const filename = yield* freshFile
      yield* Effect.promise(() => ownKinds.run(filename))
      assert.deepStrictEqual(readRows(filename, "SELECT userId, active FROM laptop ORDER BY userId"), [
        { userId: "user-1", active: 1 },
        { userId: "user-2", active: 1 },
        { userId: "user-3", active: 0 }
      ])
      assert.deepStrictEqual(readRows(filename, 'SELECT serial, online FROM "user-sensors"'), [
        { serial: "A7", online: 1 }
      ])
    })
  )

  it.skipIf(inject("postgresUrl") === undefined)("postgres-host writes a heartbeat before it ends", () =>
    Effect.gen(function* () {
      const { url } = yield* makePostgres("")
      assert.deepStrictEqual(yield* Effect.promise(() => postgresHost.run(url)), {
        refusal: "unique",
        rows: [{ id: "phone", active: true }]
      })
    }).pipe(Effect.scoped, Effect.runPromise)
  )

  it.skipIf(inject("postgresUrl") === undefined)("postgres-replicas keeps a client online that moved", () =>
    Effect.gen(function* () {
      const { url } = yield* makePostgres("")
      assert.deepStrictEqual(yield* Effect.promise(() => postgresReplicas.run(url)), {
        active: true,
        isServedByOther: true,
        told: []
      })
    }).pipe(Effect.scoped, Effect.runPromise)
  )

  it("has no file that is not run: here, or by Vitest itself where it is a test", () => {
    const run = [
      "contention.test.ts",
      "custom-lane.ts",
      "fastify-server.ts",
      "first-program.ts",
      "own-kinds.ts",
      "own-tables.ts",
      "postgres-host.ts",
      "postgres-replicas.ts",
      "prisma-host.ts",
      "promise-host.ts",
      "simulate-contention.test.ts"
    ]
    assert.deepStrictEqual(fs.readdirSync(path.join(library, "examples")).toSorted(), run)
  })
})

describe("modules", () => {
  const source = path.join(library, "src")
  const modules = fs
    .readdirSync(source, { recursive: true, encoding: "utf8" })
    .filter((file) => /^(?:\w+\/)?[A-Z]\w*\.ts$/.test(file))
    .map((file) => file.replace(/\.ts$/, ""))

  /** The examples that docgen runs: of the module itself, and of what it exports besides classes. */
  const examplesOf = (module: string): ReadonlyArray<string> => {
    const text = fs.readFileSync(path.join(source, `${module}.ts`), "utf8")
    return [...text.matchAll(/\/\*\*([^]*?)\*\/\n(export (?:abstract )?class)?/g)].flatMap(
      ([, comment = "", ofClass]) => {
        const [, example] = /^ \* @example\n([^]*?)^ \* @/m.exec(comment) ?? []
        return example === undefined || ofClass !== undefined ? [] : [example]
      }
    )
  }

  const without = (isExample: (example: string, module: string) => boolean) =>
    modules.filter((module) => !examplesOf(module).some((example) => isExample(example, module)))

  it("have an example that imports them, each of them", () => {
    assert.isAtLeast(modules.length, 40)
    assert.deepStrictEqual(
      without((example, module) => example.includes(`from "presence-effect/${module}"`)),
      []
    )
  })

  it("have an example that shows a result, each of them", () => {
    // Declares, and runs nothing: what it needs is the host's own.
    const declaring = ["host/PromClient", "node/WriterClient", "writer/HttpFailure"]
    const results = /^ \* *(?:console\.log|strictEqual|deepStrictEqual|throws|\w+\.suite)\(|console\.log\)/m
    assert.deepStrictEqual(
      without((example) => results.test(example)),
      declaring
    )
  })
})

describe("README", () => {
  const isCode = (line: string) => line !== "" && !/^(\/\/ #(region|endregion)|import .* from "\.\/)/.test(line)
  /** The code as it reads, whatever its indentation. Left out: marks of regions, what examples import of each other. */
  const flat = (text: string) =>
    text
      .split("\n")
      .map((line) => line.trim())
      .filter(isCode)
      .join("\n")
  const readme = fs.readFileSync(path.join(library, "README.md"), "utf8")
  const blocks = [...readme.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code = ""]) => flat(code))
  const examples = fs
    .readdirSync(path.join(library, "examples"))
    .map((file) => flat(fs.readFileSync(path.join(library, "examples", file), "utf8")))

  it("shows the first program, the server, the test, own lanes and own tables", () => {
    const shown = ["first-program", "fastify-server", "contention.test", "custom-lane", "own-tables"]
    const missing = shown.filter((name) => {
      const example = flat(fs.readFileSync(path.join(library, "examples", `${name}.ts`), "utf8"))
      return !blocks.some((block) => example.includes(block))
    })
    assert.deepStrictEqual(missing, [])
  })

  it("has a guide about contention that shows the whole of its example", () => {
    const guide = fs.readFileSync(path.join(library, "docs/simulate-contention.md"), "utf8")
    const example = fs.readFileSync(path.join(library, "examples/simulate-contention.test.ts"), "utf8")
    assert.include(guide, `\`\`\`ts\n${example}\`\`\``)
  })

  it("is read in a few minutes", () => {
    assert.isAtMost(readme.trimEnd().split("\n").length, 150)
  })

  it.each(["kinds", "databases", "replicas"])("has a guide about %s that shows code of its example", (name) => {
    const guide = fs.readFileSync(path.join(library, `docs/${name}.md`), "utf8")
    const shown = [...guide.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code = ""]) => flat(code))
    assert.isNotEmpty(shown)
    assert.deepStrictEqual(
      shown.filter((block) => !examples.some((example) => example.includes(block))),
      []
    )
  })

  it("shows no code that is not in an example", () => {
    const foreign = blocks.filter((block) => !examples.some((example) => example.includes(block)))
    assert.deepStrictEqual(foreign, [])
  })
})
