/**
 * Reads one page of an account again and again, and keeps nothing of it. A process of its own: what the reader spends
 * on 8 MB must not delay the registrations that are timed.
 */
import * as http from "node:http"
import { setTimeout as sleep } from "node:timers/promises"

const [url = "", token = "", pauseMillis = "0"] = process.argv.slice(2)
const agent = new http.Agent({ keepAlive: true })

/** Resolves with the number of bytes. */
const read = () =>
  new Promise((resolve, reject) => {
    const request = http.get(url, { agent, headers: { authorization: `Bearer ${token}` } }, (response) => {
      let bytes = 0
      response.on("data", (part) => (bytes += part.length))
      response.on("end", () => resolve(response.statusCode === 200 ? bytes : 0))
      response.on("error", reject)
    })
    request.on("error", reject)
  })

for (;;) {
  process.stdout.write(`${await read()}\n`)
  await sleep(Number(pauseMillis))
}
