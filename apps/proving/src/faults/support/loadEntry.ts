/**
 * The load generator, a process of its own: arrivals come at fixed times,
 * whether or not earlier ones were answered, since a server that stalls must
 * not slow down its load. It runs until its standard input ends, then waits for
 * the outstanding answers.
 */
import { randomUUID } from "node:crypto"
import { io, type Socket } from "socket.io-client"
import * as AckFile from "./AckFile.ts"
import type { LoadOptions } from "./LoadGenerator.ts"

const options: LoadOptions & { readonly file: string } = JSON.parse(process.argv[2] ?? "{}")
const { beatMillis, file, messagesPerSecond, registrationsPerSecond, sessionIds, token, url } = options
const append = AckFile.append(file)
const headers = { "content-type": "application/json", authorization: `Bearer ${token}` }
const pending = new Set<Promise<void>>()
let isOver = false

/** Longer than clients wait. */
const patienceMillis = 12_000

const keep = (promise: Promise<void>) => {
  pending.add(promise)
  void promise.finally(() => pending.delete(promise))
}

const arrivals = (perSecond: number, arrive: (due: number) => void) => {
  if (perSecond === 0) return
  const gap = 1000 / perSecond
  let next = Date.now() + Math.random() * gap
  const turn = () => {
    if (isOver) return
    // All that are due, when this process itself was kept from running.
    for (; next <= Date.now(); next += gap) arrive(next)
    setTimeout(turn, Math.max(1, next - Date.now()))
  }
  turn()
}

const register = async (due: number) => {
  const id = randomUUID()
  const answer = { status: 0, code: "", retryAfter: null as string | null }
  try {
    const response = await fetch(`${url}/v1/machines`, {
      method: "POST",
      headers,
      body: JSON.stringify({ id, metadata: `metadata of ${id}` }),
      signal: AbortSignal.timeout(patienceMillis)
    })
    const body = (await response.json()) as { readonly code?: string; readonly machine?: { readonly id: string } }
    // An answer about another machine would be none.
    answer.status = response.status === 200 && body.machine?.id !== id ? 599 : response.status
    answer.code = body.code ?? ""
    answer.retryAfter = response.headers.get("retry-after")
  } catch (error) {
    answer.code = String((error as { readonly cause?: { readonly code?: string } }).cause?.code ?? error)
  }
  append({ kind: "registration", id, due, millis: Date.now() - due, ...answer })
}

const probe = async (due: number) => {
  const lateMillis = Date.now() - due
  let status = 0
  try {
    const response = await fetch(`${url}/livez`, { signal: AbortSignal.timeout(patienceMillis) })
    await response.text()
    status = response.status
  } catch {
    // No answer is an answer here.
  }
  append({ kind: "probe", due, millis: Date.now() - due, lateMillis, status })
}

let messageCount = 0

const say = (socket: Socket, sid: string, due: number) =>
  new Promise<void>((resolve) => {
    const localId = `m${(messageCount += 1)} of ${process.pid}`
    socket
      .timeout(patienceMillis)
      .emit("message", { sid, message: `text of ${localId}`, localId }, (lost: unknown, ack: any) => {
        const outcome = lost !== null ? "unanswered" : ack?.ok === true ? "stored" : "refused"
        append({
          kind: "message",
          sid,
          localId,
          due,
          millis: Date.now() - due,
          outcome,
          seq: outcome === "stored" ? Number(ack.seq) : 0
        })
        resolve()
      })
  })

const sockets = sessionIds.map((sid) => {
  const socket = io(url, {
    path: "/v1/updates",
    transports: ["websocket"],
    auth: { token, clientType: "session-scoped", sessionId: sid },
    forceNew: true,
    reconnectionDelay: 100,
    reconnectionDelayMax: 500
  })
  if (beatMillis > 0) {
    setInterval(() => {
      if (!socket.connected || isOver) return
      const at = Date.now()
      append({ kind: "beat", sid, at })
      socket.volatile.emit("session-alive", { sid, time: at, thinking: false })
    }, beatMillis)
  }
  return { sid, socket }
})

const connected = sockets.map(({ socket }) => new Promise<void>((resolve) => void socket.once("connect", resolve)))
await Promise.all(connected)

arrivals(registrationsPerSecond, (due) => keep(register(due)))
arrivals(options.probesPerSecond, (due) => keep(probe(due)))
arrivals(messagesPerSecond, (due) => {
  const { sid, socket } = sockets[messageCount % sockets.length] ?? {}
  // What is sent without a connection would be buffered and sent later.
  if (socket?.connected === true && sid !== undefined) keep(say(socket, sid, due))
})
process.stdout.write("running\n")

process.stdin.resume()
process.stdin.once("end", () => {
  isOver = true
  void Promise.all(pending).then(() => process.exit(0))
})
