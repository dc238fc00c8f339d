/** One process of the built server, and its output. The drivers of tests and benches use it. */
import { type ChildProcessByStdio, spawn } from "node:child_process"
import os from "node:os"
import type { Readable } from "node:stream"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("../../../light-server/dist/bundle/main.js", import.meta.url))

export interface ServerChild {
  readonly child: ChildProcessByStdio<null, Readable, Readable>
  /** Its address, once it reports it. Rejected with its output when it ends before. */
  readonly ready: Promise<string>
  /** The exit code, once it has ended and all its output was read. */
  readonly ended: Promise<number | null>
  readonly output: () => { readonly stdout: string; readonly stderr: string }
}

export interface Options {
  readonly directory: string
  /** Zero: the system chooses. */
  readonly port: number
  readonly environment?: Readonly<Record<string, string>> | undefined
  readonly arguments?: ReadonlyArray<string> | undefined
  /** A program that prepares something and then replaces itself with the server, with its arguments. */
  readonly through?: ReadonlyArray<string> | undefined
  /** A module that is loaded into the process before the server. */
  readonly preloaded?: URL | undefined
  /** Called with everything that it prints, in order. */
  readonly hear?: (text: string) => void
}

const readyLine = /^happier-light-server is ready at (\S+?)(?: \(.*\))?, data in /m

/** Starts it. The caller ends it; it is killed when this process ends. */
export const start = (options: Options): ServerChild => {
  const { directory, environment, hear, port, preloaded, through = [] } = options
  const node = [process.execPath, ...(preloaded === undefined ? [] : ["--import", preloaded.href]), main]
  const [program = process.execPath, ...args] = [...through, ...node, ...(options.arguments ?? [])]
  const said = { stdout: "", stderr: "" }
  const child = spawn(program, args, {
    env: {
      PATH: process.env["PATH"],
      HOME: directory,
      TMPDIR: os.tmpdir(),
      HAPPIER_SERVER_LIGHT_DATA_DIR: directory,
      PORT: String(port),
      ...environment
    },
    stdio: ["ignore", "pipe", "pipe"]
  })
  // Also when the runner itself is ended in the middle of a test.
  const kill = () => void child.kill("SIGKILL")
  process.once("exit", kill)
  const ended = new Promise<number | null>((resolve) => {
    child.once("close", (code) => {
      process.off("exit", kill)
      resolve(code)
    })
  })
  const listen = (name: "stdout" | "stderr", heard: () => void) =>
    child[name].on("data", (data) => {
      said[name] += String(data)
      hear?.(String(data))
      heard()
    })
  const ready = new Promise<string>((resolve, reject) => {
    listen("stderr", () => {})
    listen("stdout", () => {
      const url = readyLine.exec(said.stdout)?.[1]
      if (url !== undefined) resolve(url)
    })
    const fail = (code: number | null) =>
      reject(new Error(`the server ended with code ${code}:\n${said.stdout}${said.stderr}`))
    void ended.then(fail)
  })
  // Not every caller waits for it.
  ready.catch(() => {})
  return { child, ready, ended, output: () => ({ ...said }) }
}
