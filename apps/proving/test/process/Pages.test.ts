/**
 * Goal: every command of the pages that an operator reads first works as it stands there, and prints what is shown.
 * Method: their fenced blocks are pasted into a shell, in the order of a reader, with the built server or the package.
 * A block that cannot run in a test is `listed`, with the reason and another check. A block that is neither run nor
 * listed fails.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import fs from "node:fs"
import net from "node:net"
import path from "node:path"
import * as CommandLine from "light-server/src/cli/CommandLine"
import * as ServiceUnit from "light-server/src/operator/ServiceUnit"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as DocumentBlock from "../../src/drivers/DocumentBlock.ts"
import * as InstalledPackage from "../../src/drivers/InstalledPackage.ts"
import * as OperatorCommand from "../../src/drivers/OperatorCommand.ts"
import * as PageReader from "../../src/drivers/PageReader.ts"
import * as Proxy from "../../src/drivers/Proxy.ts"
import * as TemporaryDirectory from "../../src/drivers/TemporaryDirectory.ts"
import * as TimeLimit from "../../src/drivers/TimeLimit.ts"
import * as Fixtures from "../../src/fixtures/make-fixtures.ts"

type Block = DocumentBlock.DocumentBlock

const root = path.resolve(import.meta.dirname, "../../../..")

const documents = ["README.md", "docs/start.md", "docs/upgrade.md", "docs/operations.md"]

const blocks = documents.flatMap(DocumentBlock.of)

const isReady = /is ready at http\S+/

/** The one block of a section that begins with `opening`. */
const blockOf = (document: string, section: string, opening: string): Block => {
  const found = blocks.filter(
    (block) => block.document === document && block.section === section && block.text.startsWith(opening)
  )
  const [block] = found
  if (block === undefined || found.length > 1) {
    throw new Error(`${document} has ${found.length} blocks below "${section}" that begin with "${opening}"`)
  }
  return block
}

const covered = new Set<Block>()

/** Runs these blocks as a reader does. Fails when one of them was not run. */
const story = (
  title: string,
  document: string,
  openings: ReadonlyArray<readonly [section: string, opening: string]>,
  run: (blocks: ReadonlyArray<Block>) => Effect.Effect<ReadonlyArray<PageReader.PageReader>, never, Scope.Scope>,
  options: { readonly timeout: number; readonly skip?: boolean }
) => {
  const mine = openings.map(([section, opening]) => blockOf(document, section, opening))
  for (const block of mine) covered.add(block)
  it.scopedLive.skipIf(options.skip === true)(
    title,
    () =>
      Effect.gen(function* () {
        const readers = yield* run(mine)
        const left = mine.filter((block) => !readers.some((reader) => reader.done().has(block)))
        assert.deepStrictEqual(
          left.map(({ line, text }) => `${document}:${line} was not run: ${text}`),
          []
        )
      }),
    options.timeout
  )
}

/** A block that does not run here. */
const listed = (
  document: string,
  [section, opening]: readonly [section: string, opening: string],
  reason: string,
  check: (block: Block) => Effect.Effect<void, never, Scope.Scope>
) => {
  const block = blockOf(document, section, opening)
  covered.add(block)
  it.scopedLive(`${document}, "${opening}" is not run: ${reason}`, () => check(block), 120_000)
}

/** In the clone, as `npm start` runs there. */
const inClone = { cwd: root, environment: { npm_config_update_notifier: "false", npm_config_offline: "true" } }

/** A reader with npm and the package of the server. */
const withPackage = (instead: { readonly [text: string]: string } = {}) =>
  Effect.gen(function* () {
    const folder = yield* TemporaryDirectory.make
    const prefix = path.join(folder, "prefix")
    InstalledPackage.addNpm(path.join(folder, "npm"), prefix)
    const environment = InstalledPackage.npmSettings(prefix)
    return { programs: [path.join(folder, "npm"), path.join(prefix, "bin")], environment, instead }
  })

/** The address of something on another port that leads to the server, as a proxy does. */
const relayTo = (upstream: () => string) =>
  Effect.gen(function* () {
    const port = yield* BuiltServer.freePort
    yield* Effect.acquireRelease(
      Effect.async<net.Server>((resume) => {
        const server = net.createServer((client) => {
          const onward = net.connect(Number(new URL(upstream()).port), "127.0.0.1")
          for (const [one, other] of [
            [client, onward],
            [onward, client]
          ] as const) {
            one.on("error", () => other.destroy()).on("close", () => other.destroy())
            one.pipe(other)
          }
        })
        server.listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.sync(() => void server.close())
    )
    return `http://127.0.0.1:${port}`
  })

/** An app, and a machine whose daemon is connected, of one account. */
const appAndMachine = (url: string) =>
  Effect.gen(function* () {
    const device = yield* Device.login(url, Client.make())
    const { status } = yield* Effect.orDie(device.post("/v1/machines", { id: "laptop", metadata: "sealed" }))
    assert.strictEqual(status, 200)
    const app = yield* device.connect({ clientType: "user-scoped" })
    const machine = yield* device.connect({ clientType: "machine-scoped", machineId: "laptop" })
    yield* app.settled
    yield* machine.settled
    return device
  })

const seconds = (since: number) => (performance.now() - since) / 1000

describe("README.md", () => {
  const page = "README.md"
  const title = "A first session"

  story(
    "shows a first session that works when it is pasted, and when the machine goes offline",
    page,
    [
      [title, "npm start"],
      [title, "TOKEN="],
      [title, "MACHINE="],
      [title, "node --input-type=module"],
      [title, "curl"],
      [title, "node apps/light-server/examples/daemon.mjs"]
    ],
    ([start, token, machine, watch, readiness, daemon]) =>
      Effect.gen(function* () {
        assert.isDefined(start && token && machine && watch && readiness && daemon)
        const reader = yield* PageReader.make(inClone)
        yield* reader.begin(start as Block, isReady)
        const session = [token, machine, watch, readiness] as ReadonlyArray<Block>
        // A fresh server: the machine leaves after a second, and is offline when the minute of the start is over.
        const startedAt = performance.now()
        yield* reader.paste(...session)
        assert.isAbove(seconds(startedAt), 58)
        TimeLimit.holds("seconds until the machine is offline on a fresh server", seconds(startedAt), 70)
        // The same session on a server that has run for a minute.
        const againAt = performance.now()
        yield* reader.paste(...session)
        assert.isAbove(seconds(againAt), 15)
        TimeLimit.holds("seconds until the machine is offline", seconds(againAt), 25)
        const url = new URL(reader.url).host
        const run = { ...(daemon as Block), text: `${daemon?.text} http://${url}` }
        yield* reader.begin(daemon as Block, /^online$/m, run.text)
        return [reader]
      }),
    { timeout: 240_000 }
  )

  const helps =
    (...commands: ReadonlyArray<string>) =>
    () =>
      Effect.gen(function* () {
        const reader = yield* PageReader.make(inClone)
        for (const command of commands) assert.match(yield* reader.type(`${command} -- --help`), /usage/i)
      })

  listed(
    page,
    ["Two commands", "npm start"],
    "the second one runs all tests, this one included; the first one is run below",
    helps("npm start", "npm test")
  )
  listed(
    page,
    ["See it yourself", "npm run lab"],
    "it measures for a minute, and needs the processors for itself; the tests of the lab run the program",
    helps("npm run lab")
  )
})

describe("docs/start.md", () => {
  const page = "docs/start.md"

  story(
    "leads from nothing to an app and a machine that are online",
    page,
    [
      ["Install", "npm run pack"],
      ["Install", "npm install -g"],
      ["Install", "npx"],
      ["Configure", "happier-light-server setup"],
      ["Start", "happier-light-server serve"],
      ["See that it works", "happier-light-server status"],
      ["See that it works", "curl"],
      ["When it does not", "happier-light-server doctor"]
    ],
    ([pack, install, clone, setup, serve, status, curl, doctor]) =>
      Effect.gen(function* () {
        let url = ""
        const proxy = yield* relayTo(() => url)
        const reader = yield* PageReader.make(yield* withPackage({ "https://box.example.org": proxy }))
        url = reader.url
        yield* reader.pasteIn(root, pack as Block)
        yield* reader.paste(install as Block)
        assert.include(yield* reader.type("command -v happier-light-server"), "/prefix/bin/")
        yield* reader.pasteIn(root, clone as Block)
        const printed = yield* reader.paste(setup as Block)
        // The page says so; the code is of blocks and spaces.
        assert.match(printed, /█▀|▀█|██/)
        yield* reader.begin(serve as Block, isReady)
        yield* appAndMachine(proxy)
        yield* reader.paste(status as Block, curl as Block, doctor as Block)
        // As the page says: the first account is the last one.
        const stranger = yield* Effect.orDie(Device.post(`${proxy}/v1/auth`, Client.make().challenge()))
        assert.deepStrictEqual([stranger.status, stranger.text.includes("signup-disabled")], [403, true])
        return [reader]
      }),
    { timeout: 240_000 }
  )

  story(
    "has a proxy in front with which the doctor has no complaint",
    page,
    [["Let the phone reach it", "LIGHT_SERVER_SITE"]],
    ([caddy]) =>
      Effect.gen(function* () {
        const site = `http://127.0.0.1:${yield* BuiltServer.freePort}`
        const reader = yield* PageReader.make({
          cwd: root,
          instead: {
            "LIGHT_SERVER_SITE=box.example.org": `LIGHT_SERVER_SITE=${site}`,
            "https://box.example.org": site
          },
          environment: { CADDY_ADMIN: "off" }
        })
        const setup = blockOf(page, "Configure", "happier-light-server setup")
        yield* reader.type(setup.text)
        yield* reader.begin(blockOf(page, "Start", "happier-light-server serve"), isReady)
        yield* reader.begin(
          caddy as Block,
          /serving initial configuration/,
          `LIGHT_SERVER_UPSTREAM=${new URL(reader.url).host} ${caddy?.text}`
        )
        yield* appAndMachine(site)
        const found = yield* reader.type("happier-light-server doctor")
        for (const code of ["D302", "D303", "D304"]) assert.match(found, new RegExp(`^ok   ${code} `, "m"))
        return [reader]
      }),
    { timeout: 120_000, skip: !Proxy.isInstalled(Proxy.caddy) }
  )

  listed(
    page,
    ["Start", "happier-light-server service install"],
    "it needs a systemd that runs; the unit is written instead of started",
    (block) =>
      Effect.gen(function* () {
        const reader = yield* PageReader.make()
        yield* reader.type(`${block.text} --to ~/units`)
        const unit = fs.readFileSync(path.join(reader.home, "units", ServiceUnit.unitName), "utf8")
        assert.include(unit, "Restart=on-failure")
        assert.strictEqual(`${unit.trimEnd()}\n`, yield* reader.type("happier-light-server service print"))
      })
  )
  listed(
    page,
    ["Let the phone reach it", "tailscale serve"],
    "it needs an account with Tailscale; the port is compared with that of the server",
    (block) =>
      Effect.gen(function* () {
        const reader = yield* PageReader.make({ environment: { PORT: "" } })
        const { resolved } = JSON.parse(yield* reader.type("happier-light-server config print --json"))
        assert.strictEqual(block.text, `tailscale serve --bg ${resolved.port}`)
      })
  )
  listed(
    page,
    ["Laptops and other machines", "export HAPPIER_SERVER_URL"],
    "the published client is not here; the variable is compared with what `setup` prints",
    (block) =>
      Effect.gen(function* () {
        const reader = yield* PageReader.make()
        const [, assignment = ""] = /^export (\S+)$/m.exec(block.text) ?? []
        const printed = yield* reader.type("happier-light-server setup --public-url https://box.example.org --yes")
        assert.include(printed, `:  ${assignment}\n`)
      })
  )
})

describe("docs/upgrade.md", () => {
  const page = "docs/upgrade.md"

  story(
    "leads to the new version, and back to the rows from before",
    page,
    [
      ["Upgrade", "happier-light-server backup"],
      ["Upgrade", "npm install -g"],
      ["Upgrade", "happier-light-server migrate"],
      ["Upgrade", "happier-light-server status"],
      ["Go back", "happier-light-server restore"]
    ],
    ([backup, install, migrate, status, restore]) =>
      Effect.gen(function* () {
        const reader = yield* PageReader.make(yield* withPackage())
        yield* reader.pasteIn(root, blockOf("docs/start.md", "Install", "npm run pack"))
        yield* reader.paste(install as Block)
        const serve = blockOf("docs/start.md", "Start", "happier-light-server serve")
        const before = yield* reader.begin({ ...serve, shown: undefined }, isReady)
        const device = yield* appAndMachine(reader.url)
        yield* reader.paste(backup as Block)
        yield* before.end("SIGTERM")
        yield* reader.paste(install as Block, migrate as Block)
        // A later version, which has one migration more.
        const later = path.join(reader.home, "later")
        fs.cpSync(path.join(root, "prisma/migrations"), later, { recursive: true })
        fs.mkdirSync(path.join(later, "29990101000000_add_later"))
        fs.writeFileSync(
          path.join(later, "29990101000000_add_later/migration.sql"),
          `CREATE TABLE "Later" ("id" TEXT);\n`
        )
        const settings = path.join(reader.home, ".happier/server-light/light-server.toml")
        fs.writeFileSync(settings, `HAPPIER_SQLITE_MIGRATIONS_DIR = "${later}"\n`)
        const upgraded = yield* reader.begin({ ...serve, shown: undefined }, isReady)
        yield* reader.paste(status as Block)
        yield* Effect.orDie(device.post("/v1/machines", { id: "since", metadata: "sealed" }))
        yield* upgraded.end("SIGTERM")
        fs.rmSync(settings)
        // This version refuses what the later one has migrated, and names it.
        const refused = yield* reader.type(`${serve.text} || echo "ended with $?"`)
        assert.match(refused, /29990101000000_add_later[^]*ended with 5\n$/)
        yield* reader.paste(restore as Block)
        yield* reader.begin({ ...serve, shown: undefined }, isReady)
        const { body } = yield* Effect.orDie(device.get("/v1/machines"))
        assert.deepStrictEqual(
          Object.values(body).map(({ id }) => id),
          ["laptop"]
        )
        return [reader]
      }),
    { timeout: 240_000 }
  )

  story(
    "leads from another server to this one, with the tokens of its clients",
    page,
    [["From another happier light server", "mkdir"]],
    ([move]) =>
      Effect.gen(function* () {
        const reader = yield* PageReader.make()
        const old = path.join(reader.home, "old-server")
        fs.mkdirSync(old)
        fs.copyFileSync(Fixtures.fileOf("mixed"), path.join(old, "happier-server-light.sqlite"))
        fs.writeFileSync(path.join(old, "handy-master-secret.txt"), "the secret of the other server", { mode: 0o600 })
        yield* reader.paste(move as Block)
        const directory = path.join(reader.home, ".happier/new-server")
        const server = yield* BuiltServer.start({}, { directory })
        assert.strictEqual(
          fs.readFileSync(path.join(directory, "handy-master-secret.txt"), "utf8").trim(),
          "the secret of the other server"
        )
        assert.isAbove(server.rows(`SELECT 1 FROM "Machine"`).length, 0)
        return [reader]
      }),
    { timeout: 120_000 }
  )

  story(
    "leads to another machine",
    page,
    [
      ["Move to another machine", "happier-light-server backup"],
      ["Move to another machine", "happier-light-server restore"]
    ],
    ([backup, restore]) =>
      Effect.gen(function* () {
        const here = yield* PageReader.make()
        const serve = { ...blockOf("docs/start.md", "Start", "happier-light-server serve"), shown: undefined }
        const server = yield* here.begin(serve, isReady)
        const device = yield* appAndMachine(here.url)
        yield* server.end("SIGTERM")
        yield* here.paste(backup as Block)
        const there = yield* PageReader.make()
        fs.cpSync(path.join(here.home, "happier-backups"), path.join(there.home, "happier-backups"), {
          recursive: true
        })
        yield* there.paste(restore as Block)
        yield* there.begin(serve, isReady)
        const headers = { authorization: `Bearer ${device.token}` }
        const { text } = yield* Effect.orDie(Device.request(`${there.url}/v1/machines`, { headers }))
        assert.include(text, `"id":"laptop"`)
        return [here, there]
      }),
    { timeout: 120_000 }
  )

  listed(page, ["Upgrade", "systemctl"], "it needs a systemd that runs; the name of the unit is compared", ({ text }) =>
    Effect.sync(() => assert.strictEqual(`${text.split(" ").at(-1)}.service`, ServiceUnit.unitName))
  )
  listed(page, ["Upgrade", "git pull"], "it changes this clone; `npm start` is run for the README", ({ text }) =>
    Effect.sync(() => assert.strictEqual(text, "git pull\nnpm start"))
  )
})

describe("docs/operations.md", () => {
  const page = "docs/operations.md"

  story(
    "installs the package, and serves",
    page,
    [["Install", "npm install -g"]],
    ([install]) =>
      Effect.gen(function* () {
        const reader = yield* PageReader.make(yield* withPackage())
        yield* reader.pasteIn(root, blockOf("docs/start.md", "Install", "npm run pack"))
        yield* reader.begin(install as Block, isReady)
        return [reader]
      }),
    { timeout: 120_000 }
  )

  story(
    "shows a configuration file that can be used",
    page,
    [["Configuration", "PUBLIC_URL"]],
    ([file]) =>
      Effect.gen(function* () {
        const reader = yield* PageReader.make()
        const printed = yield* reader.check(
          file as Block,
          "light-server.toml",
          (name) => `happier-light-server config check --config ${name}`
        )
        assert.include(printed, "can be used")
        return [reader]
      }),
    { timeout: 60_000 }
  )

  story(
    "shows commands about the database that take what is written there",
    page,
    [
      ["Backup and restore", "happier-light-server backup"],
      ["Giving space back", "happier-light-server compact"],
      ["Coming from a happier light server", "happier-light-server import"]
    ],
    ([backup, compact, imported]) =>
      Effect.gen(function* () {
        const reader = yield* PageReader.make()
        const serve = { ...blockOf("docs/start.md", "Start", "happier-light-server serve"), shown: undefined }
        const server = yield* reader.begin(serve, isReady)
        yield* reader.pasteUsages(compact as Block, () => ({}))
        yield* server.end("SIGTERM")
        const directory = path.join(reader.home, "backups")
        const newest = () =>
          (fs.existsSync(directory) ? fs.readdirSync(directory) : []).find((name) => name.endsWith(".sqlite"))
        yield* reader.pasteUsages(backup as Block, () => ({
          directory,
          number: "3",
          file: path.join(directory, newest() ?? ""),
          "file or directory": directory
        }))
        const newcomer = yield* PageReader.make()
        let round = 0
        yield* newcomer.pasteUsages(imported as Block, () => ({
          file: Fixtures.fileOf("mixed"),
          directory: path.join(newcomer.home, `new-${round++}`)
        }))
        return [reader, newcomer]
      }),
    { timeout: 120_000 }
  )

  listed(
    page,
    ["As a service", "happier-light-server service install"],
    "it needs a systemd that runs; the units are written instead of started",
    ({ text }) =>
      Effect.gen(function* () {
        const reader = yield* PageReader.make()
        const [own, system] = text.split("\n").map((line) => `${line.replace("sudo ", "")} --to ~/units`)
        yield* reader.type(own ?? "")
        assert.notMatch(fs.readFileSync(path.join(reader.home, "units", ServiceUnit.unitName), "utf8"), /^User=/m)
        yield* reader.type(system ?? "")
        const unit = fs.readFileSync(path.join(reader.home, "units", ServiceUnit.unitName), "utf8")
        assert.match(unit, /^User=happier$/m)
        assert.include(unit, "/var/lib/happier")
      })
  )
})

describe("the pages", () => {
  it("have no block that is neither run nor listed", () => {
    const left = blocks.filter((block) => !covered.has(block))
    assert.deepStrictEqual(
      left.map(({ document, language, line, text }) => `${document}:${line} (${language}) ${text}`),
      []
    )
  })

  it.scopedLive("name only settings that exist", () =>
    Effect.gen(function* () {
      const { settings } = yield* OperatorCommand.json(["config", "print"])
      const schema = yield* OperatorCommand.json(["config", "schema"])
      const known = new Set([
        ...settings.map(({ name }: { readonly name: string }) => name),
        ...Object.keys(schema.properties),
        // Of the published clients, and of the tools beside the server.
        "HAPPIER_SERVER_URL",
        "HAPPY_SERVER_URL",
        "LIGHT_SERVER_SITE",
        "HAPPIER_CONFIG_FILE"
      ])
      const unknown = documents.flatMap((document) =>
        [...DocumentBlock.textOf(document).matchAll(/\b(?:HAPPIER|HAPPY|HANDY|AUTH|PUBLIC|LIGHT)_[A-Z_]*[A-Z]\b/g)]
          .map(([name]) => name)
          .filter((name) => !known.has(name))
          .map((name) => `${document} names ${name}`)
      )
      assert.deepStrictEqual([...new Set(unknown)], [])
    })
  )

  it("name only commands that exist", () => {
    const isOurs = /^(npx --no-install )?(happier-)?light-server /
    const unknown = documents.flatMap((document) =>
      DocumentBlock.inlineCommands(document, isOurs).flatMap((code) =>
        DocumentBlock.usages(code.replace(isOurs, ""), {
          command: "serve",
          directory: "d",
          account: "a",
          device: "d",
          path: "p",
          file: "f",
          number: "3"
        }).flatMap((words) => {
          // A command that is only mentioned, without what it requires.
          const { request } = CommandLine.parse([...words.split(" "), ...(words.includes("--") ? [] : ["--help"])])
          return request._tag === "Misuse" ? [`${document}: ${code}: ${request.text}`] : []
        })
      )
    )
    assert.deepStrictEqual(unknown, [])
  })
})
