/** The Redis of the loopback interface. */
import net from "node:net"

const address = { host: "127.0.0.1", port: 6379 }

/** Its URL. `undefined`: none answers. Rejected then where `REQUIRE_SERVICES` is set. */
export const find = (): Promise<string | undefined> =>
  new Promise((resolve, reject) => {
    const { host, port } = address
    const socket = net.connect({ ...address, timeout: 3_000 })
    const end = (isThere: boolean) => {
      socket.destroy()
      if (isThere) resolve(`redis://${host}:${port}`)
      else if (process.env["REQUIRE_SERVICES"] === undefined) resolve(undefined)
      else reject(new Error(`no Redis answers at ${host}:${port}`))
    }
    socket
      .once("connect", () => end(true))
      .once("error", () => end(false))
      .once("timeout", () => end(false))
  })
