/**
 * The incident's server in small: registrations and heartbeats go one by one
 * through the same engine, which answers each after a round trip.
 *
 * The engine is a queue with one worker, as a client with one connection is. A
 * registration looks for the machine and creates it, which takes two round trips;
 * a tick writes its sessions one after the other, each a transaction of three
 * round trips as in the lab: begin, update, commit. All ticks that are due at once
 * wait for their turns in the same queue.
 */
import Database from "better-sqlite3"
import * as fs from "node:fs"
import * as http from "node:http"
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"

const [sessionCount = 0, tickMillis = 1_000, roundTripMillis = 5] = process.argv.slice(2).map(Number)

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "incident-"))
const database = new Database(path.join(directory, "incident.sqlite"))
database.pragma("journal_mode = WAL")
database.pragma("synchronous = FULL")
database.exec(`CREATE TABLE Machine (id TEXT PRIMARY KEY, metadata TEXT NOT NULL);
  CREATE TABLE Session (id INTEGER PRIMARY KEY, active INTEGER NOT NULL, lastActiveAt INTEGER NOT NULL)`)
const find = database.prepare("SELECT id FROM Machine WHERE id = ?")
const create = database.prepare("INSERT INTO Machine VALUES (?, ?)")
const insert = database.prepare("INSERT INTO Session VALUES (?, 1, 0)")
const update = database.prepare("UPDATE Session SET active = 1, lastActiveAt = ? WHERE id = ?")
for (let id = 0; id < sessionCount; id++) insert.run(id)

let last: Promise<unknown> = Promise.resolve()

const throughEngine = <A>(work: () => A, roundTripCount = 1): Promise<A> => {
  const result = last.then(async () => {
    for (let trip = 0; trip < roundTripCount; trip++) await sleep(roundTripMillis)
    return work()
  })
  last = result
  return result
}

const register = async (text: string): Promise<void> => {
  const { id, metadata } = JSON.parse(text) as { readonly id: string; readonly metadata: string }
  if ((await throughEngine(() => find.get(id))) === undefined) await throughEngine(() => create.run(id, metadata))
}

const tick = (): Promise<unknown> =>
  Promise.all(Array.from({ length: sessionCount }, (_, id) => throughEngine(() => update.run(Date.now(), id), 3)))

setInterval(() => void tick(), tickMillis)

const server = http.createServer((request, response) => {
  let text = ""
  request.setEncoding("utf8")
  request.on("data", (part) => (text += part))
  request.on("end", () => void register(text).then(() => response.writeHead(200).end("{}")))
})

server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  process.stdout.write(`${typeof address === "object" && address !== null ? address.port : 0}\n`)
})
