/** A bare socket.io server in a process of its own. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"

export interface BareServer {
  readonly pid: number
  readonly url: string
}

const entry = fileURLToPath(new URL("./bareServerEntry.ts", import.meta.url))

/** Ends with the process group of the question. */
export const start = async (): Promise<BareServer> => {
  const child = spawn(process.execPath, ["--import", "tsx", entry], { stdio: ["ignore", "pipe", "inherit"] })
  const [port] = (await once(child.stdout, "data")) as [Buffer]
  return { pid: child.pid ?? 0, url: `http://127.0.0.1:${port.toString().trim()}` }
}
