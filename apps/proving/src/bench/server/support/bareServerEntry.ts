/** A socket.io server that decodes heartbeats and counts them, and does nothing else. */
import * as http from "node:http"
import { Server } from "socket.io"

const server = http.createServer()
const io = new Server(server, { path: "/v1/updates", transports: ["websocket"], serveClient: false })
let count = 0

io.on("connection", (socket) => {
  socket.on("session-alive", (payload: unknown) => {
    if (typeof payload !== "object" || payload === null) return
    const { sid, time } = payload as { readonly sid?: unknown; readonly time?: unknown }
    if (typeof sid === "string" && typeof time === "number") count++
  })
  socket.on("ping", (...args: ReadonlyArray<unknown>) => {
    const reply = args.at(-1)
    if (typeof reply === "function") reply({ count })
  })
})

server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  process.stdout.write(`${typeof address === "object" && address !== null ? address.port : 0}\n`)
})
