/**
 * Goal: the first day of an operator goes as documented, from an empty folder to a restored backup: each command ends
 * with the right code, and nothing is left outside of the folders of the server.
 * Method: the packed server as a program, as root and as a user without rights with a home directory, who may only
 * read the package. Clients are real ones.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { execFileSync } from "node:child_process"
import { randomInt } from "node:crypto"
import fs from "node:fs"
import path from "node:path"
import * as ServiceUnit from "light-server/src/operator/ServiceUnit"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as InstalledPackage from "../../src/drivers/InstalledPackage.ts"
import * as Shell from "../../src/drivers/Shell.ts"
import * as TemporaryDirectory from "../../src/drivers/TemporaryDirectory.ts"

const isRoot = process.getuid?.() === 0

const program = InstalledPackage.name

interface Operator {
  readonly home: string
  readonly url: string
  readonly installed: InstalledPackage.InstalledPackage
  /** Runs a command of the server to its end, and returns its output when it ended with `code`. */
  readonly command: (words: string, code: number, environment?: Shell.Place["environment"]) => Effect.Effect<string>
  /** Starts the server, and waits until it is ready. */
  readonly serve: (environment?: Shell.Place["environment"]) => Effect.Effect<Shell.Running, never, Scope.Scope>
  /** What is wherever this operator may write, apart from the home directory. */
  readonly leftovers: () => ReadonlyArray<string>
}

/** Every file below a folder, with its size and time. */
const snapshot = (folder: string): ReadonlyArray<string> =>
  fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .map((file) => `${file} ${fs.lstatSync(file).size} ${fs.lstatSync(file).mtimeMs}`)
    .toSorted()

/** Files and processes of a user that only this test has. */
const belongingsOf = (uid: number, besides: string): ReadonlyArray<string> => {
  const places = ["/tmp", "/var/tmp", "/dev/shm", "/run"].filter((place) => fs.existsSync(place))
  const find = `find ${places.join(" ")} -xdev -user ${uid} -not -path '${besides}*' 2>/dev/null; true`
  return execFileSync("sh", ["-c", `${find}; ps -o pid=,args= -u ${uid} || true`], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line !== "")
}

const arrive = (user: Shell.Place["user"]): Effect.Effect<Operator, never, Scope.Scope> =>
  Effect.gen(function* () {
    const installed = yield* InstalledPackage.make
    execFileSync("chmod", ["-R", "a+rX,a-w", installed.prefix])
    const box = yield* TemporaryDirectory.make
    const [home = "", desk = "", temporary = ""] = ["home", "desk", "tmp"].map((name) => path.join(box, name))
    for (const folder of [home, desk, temporary]) {
      fs.mkdirSync(folder, { mode: 0o700 })
      if (user !== undefined) fs.chownSync(folder, user.uid, user.gid)
    }
    fs.chmodSync(box, 0o755)
    const port = yield* BuiltServer.freePort
    const before = snapshot(installed.prefix)
    const own = {
      PATH: [path.join(installed.prefix, "bin"), process.env["PATH"]].join(path.delimiter),
      HOME: home,
      TMPDIR: temporary,
      PORT: String(port)
    }
    const placeOf = (environment: Shell.Place["environment"]): Shell.Place => ({
      cwd: desk,
      environment: { ...own, ...environment },
      user
    })
    return {
      home,
      url: `http://127.0.0.1:${port}`,
      installed,
      command: (words, code, environment = {}) =>
        Effect.map(Shell.run(`exec ${program} ${words}`, placeOf(environment)), (outcome) => {
          assert.strictEqual(outcome.code, code, `${program} ${words}\n${outcome.output}`)
          return outcome.output
        }),
      serve: (environment = {}) =>
        Effect.tap(Shell.start(`exec ${program} serve`, placeOf(environment)), (running) =>
          running.until(/is ready at http\S+/)
        ),
      leftovers: () => {
        const after = snapshot(installed.prefix)
        return [
          ...after.filter((file) => !before.includes(file)),
          ...snapshot(desk),
          ...snapshot(temporary),
          ...(user === undefined ? [] : belongingsOf(user.uid, box))
        ]
      }
    }
  })

/** A machine and a session whose clients are connected, and an app. */
const connect = (url: string) =>
  Effect.gen(function* () {
    const device = yield* Device.login(url, Client.make())
    const { status } = yield* Effect.orDie(device.post("/v1/machines", { id: "laptop", metadata: "sealed" }))
    assert.strictEqual(status, 200)
    const sessionId = yield* Device.openSession(device, "first")
    const messages = [{ localId: "l1", content: "c2VhbGVk" }]
    const sent = yield* Effect.orDie(device.post(`/v3/sessions/${sessionId}/messages`, { messages }))
    assert.strictEqual(sent.status, 200)
    for (const handshake of [
      { clientType: "user-scoped" },
      { clientType: "machine-scoped", machineId: "laptop" },
      { clientType: "session-scoped", sessionId }
    ]) {
      const line = yield* device.connect(handshake)
      yield* line.settled
    }
    return { device, sessionId }
  })

/** Before the server has run: what it is, what is wrong with settings, and the file with them. */
const morning = ({ command, home }: Operator) =>
  Effect.gen(function* () {
    const { version } = JSON.parse(yield* command("version --json", 0))
    assert.strictEqual(yield* command("version", 0), `${version}\n`)
    assert.include(yield* command("config check", 0), "can be used")
    assert.include(yield* command("config check --set PORT=none", 3), "PORT")
    assert.match(yield* command("config chekc", 2), /^\S+: [^\n]+\n$/)
    yield* command("status", 1)
    const setup = `setup --backup-dir ${home}/backups --sign-up first-account --yes`
    const file = path.join(home, ".happier/server-light/light-server.toml")
    assert.include(yield* command(setup, 0), `wrote ${file}\n`)
    assert.strictEqual(fs.statSync(file).mode & 0o777, 0o600)
    assert.include(yield* command(setup, 1), file)
    const { settings } = JSON.parse(yield* command("config print --json", 0))
    const backups = settings.find(({ name }: { readonly name: string }) => name === "HAPPIER_BACKUP_DIR")
    assert.deepInclude(backups, { value: `${home}/backups`, origin: `file ${file}` })
    assert.match(yield* command("config print", 0), /^variable +value +unit +origin\n/)
  })

/** Beside the running server: whether it is well, who is there, and a backup. */
const noon = ({ command, home, url }: Operator, pid: number) =>
  Effect.gen(function* () {
    const status = JSON.parse(yield* command("status --json", 0))
    assert.deepInclude(status, { isReady: true, pid, url, sockets: { apps: 1, machines: 1, sessions: 1 } })
    assert.match(yield* command("status", 0), /1 app, 1 machine, 1 session connected/)
    const findings = JSON.parse(yield* command("doctor --json", 0))
    assert.isAbove(findings.length, 15)
    const { accounts } = JSON.parse(yield* command("account list --json", 0))
    assert.lengthOf(accounts, 1)
    assert.include(yield* command("account list", 0), accounts[0].id)
    assert.include(yield* command(`account show ${accounts[0].id}`, 0), accounts[0].id)
    yield* command("account show nobody", 1)
    // There is one server per directory, and one per port.
    yield* command("serve", 6)
    yield* command("serve", 75, { HAPPIER_SERVER_LIGHT_DATA_DIR: `${home}/second` })

    assert.include(yield* command("backup", 0), "verified")
    const backup = fs.readdirSync(`${home}/backups`).find((name) => name.endsWith(".sqlite"))
    yield* command(`backup --verify ${home}/backups/${backup}`, 0)
    const damaged = `${home}/damaged.sqlite`
    const bytes = fs.readFileSync(`${home}/backups/${backup}`)
    fs.writeFileSync(damaged, bytes.fill(0x55, 40_960, 45_056))
    fs.chmodSync(damaged, 0o644)
    yield* command(`backup --verify ${damaged}`, 4)
    yield* command("compact", 0)
  })

/** The rows of the first server, asked with a token that it has given. */
const remains = (url: string, token: string, sessionId: string) =>
  Effect.gen(function* () {
    const ask = (route: string) =>
      Effect.orDie(Device.request(`${url}${route}`, { headers: { authorization: `Bearer ${token}` } }))
    const machines = yield* ask("/v1/machines")
    assert.deepStrictEqual(
      Object.values(machines.body).map(({ id }) => id),
      ["laptop"]
    )
    const { messages } = (yield* ask(`/v1/sessions/${sessionId}/messages?afterSeq=0`)).body
    assert.deepStrictEqual(
      messages.map(({ localId }: { readonly localId: string }) => localId),
      ["l1"]
    )
  })

const wholeDay = (operator: Operator) =>
  Effect.gen(function* () {
    const { command, home, installed, serve, url } = operator
    yield* morning(operator)
    const server = yield* serve()
    const { device, sessionId } = yield* connect(url)
    yield* noon(operator, server.pid)
    // A database that is served is not replaced.
    assert.include(yield* command(`restore --from ${home}/backups`, 6), String(server.pid))
    yield* remains(url, device.token, sessionId)
    assert.strictEqual(yield* server.end("SIGTERM"), 0)

    const elsewhere = { HAPPIER_SERVER_LIGHT_DATA_DIR: `${home}/restored` }
    yield* command(`restore --from ${home}/backups`, 0, elsewhere)
    const restored = yield* serve(elsewhere)
    yield* remains(url, device.token, sessionId)
    assert.strictEqual(yield* restored.end("SIGTERM"), 0)
    yield* command("compact", 0, elsewhere)
    yield* command("status", 1, elsewhere)

    const unit = yield* command("service print", 0)
    const expected = process.platform === "linux" ? "[Service]" : ServiceUnit.jobLabel
    for (const text of [expected, installed.home, `${home}/.happier/server-light`]) assert.include(unit, text)

    assert.deepStrictEqual(operator.leftovers(), [])
    assert.sameMembers(fs.readdirSync(home), [".happier", "backups", "damaged.sqlite", "restored"])
    assert.sameMembers(fs.readdirSync(`${home}/.happier/server-light`), [
      "handy-master-secret.txt",
      "happier-server-light.sqlite",
      "happier-server-light.sqlite.backup.lock",
      "happier-server-light.sqlite.lock",
      "last-backup.json",
      "light-server.toml",
      "login-challenges.txt"
    ])
  })

describe("the first day of an operator", () => {
  it.scopedLive(
    isRoot ? "as root" : "as the user of the tests",
    () => Effect.flatMap(arrive(undefined), wholeDay),
    240_000
  )

  const uid = randomInt(50_000, 60_000)
  it.scopedLive.skipIf(!isRoot)(
    "as a user without rights (only root can become one)",
    () => Effect.flatMap(arrive({ uid, gid: uid }), wholeDay),
    240_000
  )
})
