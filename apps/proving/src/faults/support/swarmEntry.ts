/**
 * Many sockets in a process of their own. Each line of output contains how many
 * are connected, how many connections there were, and how many rows were
 * announced to it as offline. It runs until its standard input ends.
 */
import { io } from "socket.io-client"

interface Options {
  readonly url: string
  readonly count: number
  readonly tokens: ReadonlyArray<string>
  /** Of the account of each token. */
  readonly sessionIds: ReadonlyArray<ReadonlyArray<string>>
}

const { count, sessionIds, tokens, url }: Options = JSON.parse(process.argv[2] ?? "{}")
let connected = 0
let connections = 0
let offline = 0

for (let index = 0; index < count; index++) {
  const account = index % tokens.length
  const ids = sessionIds[account] ?? []
  const sessionId = ids[Math.floor(index / tokens.length) % ids.length]
  // Those that real clients have: they come back after 1 to 5 s, half more or less.
  const socket = io(url, {
    path: "/v1/updates",
    transports: ["websocket"],
    auth: { token: tokens[account], clientType: "session-scoped", sessionId },
    forceNew: true
  })
  socket.on("connect", () => {
    connected += 1
    connections += 1
  })
  socket.on("disconnect", () => void (connected -= 1))
  socket.on("ephemeral", (payload: { readonly active?: boolean }) => {
    if (payload.active === false) offline += 1
  })
}

setInterval(() => process.stdout.write(`${JSON.stringify({ connected, connections, offline })}\n`), 50)
process.stdin.resume()
process.stdin.once("end", () => process.exit(0))
