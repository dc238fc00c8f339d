/**
 * Goal: pressing Ctrl-C once at `npm start` ends the server in order, and pressing it twice ends it at once. Method:
 * `npm start` as in the README, in a real pseudo-terminal. The terminal sends SIGINT to npm and to the server, and npm
 * passes its own one on, so each press arrives twice. Ticks are so long that only the last flush can have written the
 * final content of the file. `TERMINAL_PRESSES=20` repeats it as often.
 */
import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect } from "effect"
import path from "node:path"
import { fileURLToPath } from "node:url"
import * as ForeignLock from "presence-effect/testing/ForeignLock"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as AckLog from "../../src/drivers/AckLog.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"
import * as TemporaryDirectory from "../../src/drivers/TemporaryDirectory.ts"
import * as Terminal from "../../src/drivers/Terminal.ts"
import * as TimeLimit from "../../src/drivers/TimeLimit.ts"

const root = fileURLToPath(new URL("../../../..", import.meta.url))

const pressCount = Number(process.env["TERMINAL_PRESSES"] ?? 3)

const environment = { HAPPIER_PRESENCE_FLUSH_INTERVAL_MS: "60000" }

/** The last flush waits for a lock longer than it takes to press a key again. */
const patient = { HAPPIER_PRESENCE_DRAIN_TIMEOUT_MS: "5500", HAPPIER_SHUTDOWN_TIMEOUT_MS: "11500" }

/** From here on a second signal is no echo of the first one. */
const apartMillis = 1200

const npmStart = (directory: string, more: Readonly<Record<string, string>> = {}) =>
  Effect.gen(function* () {
    const terminal = yield* Terminal.run(["npm", "start"], {
      cwd: root,
      environment: {
        HOME: path.dirname(directory),
        // Without these npm asks the registry for newer versions of itself.
        npm_config_update_notifier: "false",
        npm_config_offline: "true",
        HAPPIER_SERVER_LIGHT_DATA_DIR: directory,
        PORT: "0",
        ...environment,
        ...more
      }
    })
    const [, url = ""] = yield* terminal.until(/happier-light-server is ready at (http:\S+?)[,\s]/)
    assert.notInclude(terminal.output(), "installing dependencies")
    return { terminal, url }
  })

/** A machine and five sessions that have said once that they are alive, read by the server. */
const crowd = (url: string) =>
  Effect.gen(function* () {
    const device = yield* Device.login(url, Client.make())
    const { body } = yield* Effect.orDie(AckLog.make().register(device))
    const machineId = String(body["machine"].id)
    const machine = yield* device.connect({ clientType: "machine-scoped", machineId })
    const pulses = [{ line: machine, pulse: Device.pulse(machine, "machine", machineId) }]
    for (const tag of ["a", "b", "c", "d", "e"]) {
      const sessionId = yield* Device.openSession(device, tag)
      const line = yield* device.connect({ clientType: "session-scoped", sessionId })
      pulses.push({ line, pulse: Device.pulse(line, "session", sessionId) })
    }
    for (const { pulse } of pulses) pulse.beat()
    yield* Effect.forEach(pulses, ({ line }) => line.settled)
    return pulses.map(({ pulse }) => pulse)
  })

/** Rows whose last beat is not in the file. */
const unwritten = (databaseFile: string, pulses: ReadonlyArray<Device.Pulse>) => {
  const database = new Sqlite(databaseFile, { readonly: true })
  try {
    return pulses.filter(({ id, kind, said }) => {
      const table = kind === "machine" ? "Machine" : "Session"
      const stored = database.prepare(`SELECT lastActiveAt FROM ${table} WHERE id = ?`).pluck().get(id)
      return !(Number(stored) >= (said.at(-1) ?? 0))
    })
  } finally {
    database.close()
  }
}

const place = Effect.map(TemporaryDirectory.make, (home) => {
  const directory = path.join(home, "data")
  return { directory, databaseFile: path.join(directory, "happier-server-light.sqlite") }
})

const isClosed = (url: string) => Effect.isFailure(Device.request(`${url}/livez`))

const onePress = (count: number) =>
  Effect.gen(function* () {
    const { databaseFile, directory } = yield* place
    const { terminal, url } = yield* npmStart(directory)
    const pulses = yield* crowd(url)
    assert.strictEqual(unwritten(databaseFile, pulses).length, pulses.length)
    yield* terminal.press(Terminal.ctrlC)
    const code = yield* terminal.ended
    assert.strictEqual(code, 0, `press ${count}: ${terminal.output()}`)
    assert.notInclude(terminal.output(), "ending at once")
    assert.notInclude(terminal.output(), "PRESENCE_LOST")
    assert.deepStrictEqual(unwritten(databaseFile, pulses), [], `press ${count}`)
  }).pipe(Effect.scoped)

describe("npm start in a terminal", () => {
  it.scopedLive(
    `ends in order at one press of Ctrl-C and writes the last beats, ${pressCount} times of ${pressCount}`,
    (context) =>
      Effect.gen(function* () {
        const missing = Terminal.missing()
        if (missing !== undefined) return context.skip(missing)
        for (let count = 1; count <= pressCount; count++) yield* onePress(count)
      }),
    30_000 + pressCount * 30_000
  )

  it.scopedLive(
    "ends at once when Ctrl-C is pressed again while the last flush waits for a lock",
    (context) =>
      Effect.gen(function* () {
        const missing = Terminal.missing()
        if (missing !== undefined) return context.skip(missing)
        const { databaseFile, directory } = yield* place
        const { terminal, url } = yield* npmStart(directory, patient)
        yield* crowd(url)
        yield* ForeignLock.hold(databaseFile)
        yield* terminal.press(Terminal.ctrlC)
        yield* Eventually.until(isClosed(url), (isClosed) => isClosed)
        yield* Effect.sleep(apartMillis)
        const pressedAt = performance.now()
        yield* terminal.press(Terminal.ctrlC)
        const code = yield* terminal.ended
        TimeLimit.holds("the end after the second press, in ms", performance.now() - pressedAt, 2000)
        assert.notStrictEqual(code, 0)
        assert.include(terminal.output(), "SIGINT again, ending at once")
      }),
    60_000
  )
})
