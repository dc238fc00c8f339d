// A daemon in sixty lines: logs in, registers its machine, stays online, answers one remote call.
//   node apps/light-server/examples/daemon.mjs [http://127.0.0.1:3005]
// It uses what real daemons use: axios, socket.io-client, tweetnacl.
import { hostname } from "node:os"
import axios from "axios"
import { io } from "socket.io-client"
import nacl from "tweetnacl"

const server = process.argv[2] ?? "http://127.0.0.1:3005"
const base64 = (bytes) => Buffer.from(bytes).toString("base64")

// An account is a key pair. A real daemon keeps the 32 bytes of `seed`; this one is new each time.
const seed = nacl.randomBytes(32)
const account = nacl.sign.keyPair.fromSeed(seed)
const challenge = nacl.randomBytes(32)
const { data: login } = await axios.post(`${server}/v1/auth`, {
  publicKey: base64(account.publicKey),
  challenge: base64(challenge),
  signature: base64(nacl.sign.detached(challenge, account.secretKey))
})
const headers = { authorization: `Bearer ${login.token}` }
console.log("logged in")

// The server stores what it cannot read: metadata is ciphertext in a real daemon.
const id = crypto.randomUUID()
const metadata = base64(JSON.stringify({ host: hostname() }))
const register = async () => {
  const { data } = await axios.post(`${server}/v1/machines`, { id, metadata }, { headers, timeout: 10_000 })
  return data.machine
}
const machine = await register()
console.log(`registered machine ${machine.id}, metadata version ${machine.metadataVersion}`)

const socket = io(server, {
  path: "/v1/updates",
  transports: ["websocket"],
  auth: { token: login.token, clientType: "machine-scoped", machineId: id },
  reconnectionDelay: 1_000,
  reconnectionDelayMax: 5_000
})

const beat = () => socket.emit("machine-alive", { machineId: id, time: Date.now() })
socket.on("connect", () => {
  console.log("online")
  beat()
  socket.emit("rpc-register", { method: `${id}:uptime` })
})
socket.on("rpc-request", ({ method }, answer) => answer(method === `${id}:uptime` ? process.uptime() : null))
socket.on("error", ({ message }) => console.log(`refused: ${message}`))
socket.on("disconnect", (reason) => console.log(`offline (${reason}), coming back by myself`))

const beating = setInterval(beat, 20_000)
process.once("SIGINT", () => {
  clearInterval(beating)
  socket.close()
  console.log("bye")
})
