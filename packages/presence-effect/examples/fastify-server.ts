import Database from "better-sqlite3"
import Fastify from "fastify"
import { Lane, PresenceTables, Write } from "presence-effect"
import * as FastifyPresence from "presence-effect/host/FastifyPresence"

const kinds = { device: { table: "Device" } }
const filename = process.argv[2] ?? "presence.sqlite"
new Database(filename).exec(PresenceTables.ddl(kinds)).close()
const app = Fastify({ pluginTimeout: 60_000 })
await app.register(FastifyPresence.plugin, { filename, kinds })

app.put<{ Params: { id: string } }>("/devices/:id", async ({ params: { id } }) => {
  await app.presence.write(Lane.control, Write.statement("INSERT OR IGNORE INTO Device (id) VALUES (?)", [id]))
  return { id }
})
app.post<{ Params: { id: string } }>("/devices/:id/beats", async ({ params: { id } }) => ({
  outcome: app.presence.beat({ kind: "device", id }, Date.now())
}))
app.get<{ Params: { id: string } }>("/devices/:id", async ({ params: { id } }) => ({
  isOnline: app.presence.lastSeen({ kind: "device", id })?.isOnline ?? false
}))
process.once("SIGTERM", () => app.close()) // with a last flush
console.log("listening on", await app.listen({ port: Number(process.env["PORT"] ?? 3000) }))
