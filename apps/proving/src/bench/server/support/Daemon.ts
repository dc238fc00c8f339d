/** A logged-in client: requests over connections that stay open, and sockets. */
import * as http from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { io, type Socket } from "socket.io-client"
import * as Client from "../../../drivers/AccountClient.ts"

export interface Answer {
  readonly status: number
  readonly text: string
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })

/** One POST over HTTP. Resolves when the answer is complete. */
export const post = (url: string, payload: unknown, token?: string): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const body = JSON.stringify(payload)
    const headers: http.OutgoingHttpHeaders = {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` })
    }
    const request = http.request(url, { method: "POST", agent, headers }, (response) => {
      let text = ""
      response.setEncoding("utf8")
      response.on("data", (part) => (text += part))
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }))
      response.on("error", reject)
    })
    request.on("error", reject)
    request.end(body)
  })

export interface Daemon {
  readonly accountId: string
  readonly token: string
  /** Registers a new machine, and again for as long as the server asks for that. */
  readonly register: () => Promise<void>
  /** Creates a session, or finds the one with this tag, and answers with its id. */
  readonly openSession: (tag: string) => Promise<string>
  /** The socket of an agent, which receives nothing about other sessions. */
  readonly connect: (sessionId: string) => Promise<Socket>
  /** The socket of an app, which is told about every row of the account. */
  readonly connectApp: () => Promise<Socket>
}

let machineCount = 0

/** Real ones wait longer; here the wait counts. */
const retryMillis = 50

/** Registers a new machine anywhere that speaks the protocol. */
export const registerAt = async (url: string, token?: string): Promise<void> => {
  const id = `machine-${process.pid}-${++machineCount}`
  for (;;) {
    const { status, text } = await post(`${url}/v1/machines`, { id, metadata: "metadata of a machine" }, token)
    if (status === 200) return
    if (status !== 503) throw new Error(`registration: ${status} ${text}`)
    await sleep(retryMillis)
  }
}

/** A server that refuses a transport says nothing, and the client comes back for ever. */
const connectLimitMillis = 30_000

export const connectTo = (url: string, auth: Readonly<Record<string, unknown>>): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = io(url, { path: "/v1/updates", transports: ["websocket"], auth, forceNew: true })
    const limit = setTimeout(() => {
      socket.disconnect()
      reject(new Error(`no connection within ${connectLimitMillis} ms`))
    }, connectLimitMillis)
    socket.once("connect", () => {
      clearTimeout(limit)
      resolve(socket)
    })
    socket.once("connect_error", (cause) => {
      clearTimeout(limit)
      reject(cause)
    })
  })

export const login = async (url: string, account = Client.make()): Promise<Daemon> => {
  const { status, text } = await post(`${url}/v1/auth`, account.challenge())
  if (status !== 200) throw new Error(`login: ${status} ${text}`)
  const { token } = JSON.parse(text) as { readonly token: string }
  const claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as { readonly sub: string }
  return {
    accountId: claims.sub,
    token,
    register: () => registerAt(url, token),
    openSession: async (tag) => {
      const { status, text } = await post(`${url}/v1/sessions`, { tag, metadata: "m" }, token)
      if (status !== 200) throw new Error(`session: ${status} ${text}`)
      return (JSON.parse(text) as { readonly session: { readonly id: string } }).session.id
    },
    connect: (sessionId) => connectTo(url, { token, clientType: "session-scoped", sessionId }),
    connectApp: () => connectTo(url, { token, clientType: "user-scoped" })
  }
}
