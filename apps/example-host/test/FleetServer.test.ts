/**
 * Goal: a host that has nothing in common with the light server works with kinds, tables and lanes of its own.
 * Method: start the server on a file of its own, drive it over HTTP, look into the file, and start it again.
 */
import Database from "better-sqlite3"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Lane from "presence-effect/writer/Lane"
import * as Write from "presence-effect/writer/Write"
import { afterEach, assert, beforeEach, describe, it } from "vitest"
import * as Fleet from "../src/Fleet.ts"
import * as FleetServer from "../src/FleetServer.ts"

let directory: string
let filename: string
let app: FleetServer.FleetApp
let address: string

const start = async (): Promise<void> => {
  app = await FleetServer.make(filename, { isLogged: false })
  address = await app.listen({ port: 0 })
}

beforeEach(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), "fleet-"))
  filename = path.join(directory, "fleet.sqlite")
  await start()
})

afterEach(async () => {
  await app.close()
  fs.rmSync(directory, { recursive: true, force: true })
})

const ask = async (method: string, target: string, body?: unknown) => {
  const content =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }
  const response = await fetch(`${address}${target}`, { method, ...content })
  const text = await response.text()
  return { status: response.status, body: text === "" ? undefined : JSON.parse(text) }
}

const rows = (sql: string): ReadonlyArray<unknown> => {
  const database = new Database(filename, { readonly: true })
  try {
    return database.prepare(sql).all()
  } finally {
    database.close()
  }
}

/** Two devices of one fleet that are online, also in the file. */
const startDevices = async (): Promise<void> => {
  for (const number of ["1", "2"]) {
    assert.strictEqual((await ask("PUT", `/fleets/north/devices/${number}`)).status, 201)
    assert.deepStrictEqual((await ask("POST", `/fleets/north/devices/${number}/beats`)).body, { outcome: "online" })
  }
  await app.presence.flush()
}

describe("FleetServer", () => {
  it("keeps devices of two fleets with the same number apart", async () => {
    await startDevices()
    await ask("PUT", "/fleets/south/devices/1")
    assert.deepStrictEqual((await ask("GET", "/fleets/north/devices")).body, [
      { number: "1", isOnline: true },
      { number: "2", isOnline: true }
    ])
    assert.deepStrictEqual((await ask("GET", "/fleets/south/devices")).body, [{ number: "1", isOnline: false }])
    assert.deepStrictEqual(rows("SELECT fleet, number, active FROM Device ORDER BY fleet, number"), [
      { fleet: "north", number: "1", active: 1 },
      { fleet: "north", number: "2", active: 1 },
      { fleet: "south", number: "1", active: 0 }
    ])
  })

  it("spreads jobs over the devices that are online, and refuses one that exists", async () => {
    await startDevices()
    const devices = []
    for (const job of ["a", "b", "c"]) devices.push((await ask("PUT", `/jobs/${job}`, { fleet: "north" })).body.device)
    assert.deepStrictEqual(devices, ["1", "2", "1"])
    assert.strictEqual((await ask("PUT", "/jobs/a", { fleet: "north" })).status, 409)
    assert.strictEqual((await ask("PUT", "/jobs/d", {})).status, 400)
    assert.deepStrictEqual((await ask("POST", "/jobs/a/progress")).body, { outcome: "online" })
    assert.deepStrictEqual((await ask("GET", "/jobs/a")).body, {
      id: "a",
      fleet: "north",
      device: "1",
      isRunning: true
    })
    assert.deepStrictEqual((await ask("GET", "/jobs/b")).body, {
      id: "b",
      fleet: "north",
      device: "2",
      isRunning: false
    })
    assert.strictEqual((await ask("GET", "/jobs/z")).status, 404)
  })

  it("takes its jobs from a device that signs off", async () => {
    await startDevices()
    for (const job of ["a", "b"]) await ask("PUT", `/jobs/${job}`, { fleet: "north" })
    assert.strictEqual((await ask("DELETE", "/fleets/north/devices/1/presence")).status, 204)
    // The release was asked for before, in the same lane.
    await app.presence.write(Fleet.dispatch, Write.statement("UPDATE Assignment SET device = device"))
    assert.deepStrictEqual(rows("SELECT job, device FROM Assignment ORDER BY job"), [
      { job: "a", device: null },
      { job: "b", device: "2" }
    ])
    assert.deepStrictEqual((await ask("PUT", "/jobs/c", { fleet: "north" })).body, { id: "c", device: "2" })
  })

  it("stores readings once, in a lane below presence", async () => {
    await ask("PUT", "/fleets/north/devices/1")
    const readings = [
      { atMillis: 1, value: 20.5 },
      { atMillis: 2, value: 21 }
    ]
    for (let times = 0; times < 2; times++) {
      assert.deepStrictEqual((await ask("POST", "/fleets/north/devices/1/readings", readings)).body, { accepted: 2 })
    }
    assert.deepStrictEqual(rows("SELECT atMillis, value FROM Reading"), readings)
    assert.deepStrictEqual(
      app.presence.status().writer.lanes.map(({ lane }) => lane),
      [Lane.control, Fleet.dispatch, Lane.data, Lane.presence, Fleet.telemetry, Lane.maintenance]
    )
  })

  it("answers 503 with the time to come again while another process holds the file", async () => {
    const other = new Database(filename)
    other.exec("BEGIN IMMEDIATE")
    const refused = await fetch(`${address}/fleets/north/devices/1`, { method: "PUT" })
    assert.strictEqual(refused.status, 503)
    assert.strictEqual(refused.headers.get("retry-after"), "2")
    assert.deepInclude(await refused.json(), { written: "nothing" })
    other.exec("ROLLBACK")
    other.close()
    assert.strictEqual((await ask("PUT", "/fleets/north/devices/1")).status, 201)
  })

  it("writes the last heartbeats when it closes, and knows its rows when it starts again", async () => {
    await startDevices()
    await ask("PUT", "/jobs/a", { fleet: "north" })
    await ask("POST", "/jobs/a/progress")
    await app.close()
    assert.deepStrictEqual(rows("SELECT id, running FROM Job"), [{ id: "a", running: 1 }])
    await start()
    assert.deepStrictEqual((await ask("PUT", "/jobs/b", { fleet: "north" })).body, { id: "b", device: "2" })
  })
})
