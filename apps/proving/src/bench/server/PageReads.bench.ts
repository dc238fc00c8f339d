/**
 * T14: registrations of one account while another one reads its sessions, 8 MB of
 * them, a page after the other. The other side is the same server without the
 * reader. The two take turns.
 */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Question } from "../Result.ts"
import * as Client from "../../drivers/AccountClient.ts"
import * as Daemon from "./support/Daemon.ts"
import * as RegistrationRounds from "./support/RegistrationRounds.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const pageBytes = 8e6
/** A list without a cursor ends here. */
const sessionCount = 150
/** Between two pages. The reader would else keep one of two processors busy by itself. */
const pauseMillis = 150
const perSecond = 50
const turnMillis = 4_000
const roundCount = 7

const entry = fileURLToPath(new URL("./support/pageReaderEntry.mjs", import.meta.url))

/** Reads until it is stopped; then returns the sizes of the pages. */
const startReading = (url: string, token: string): (() => ReadonlyArray<number>) => {
  const child = spawn(process.execPath, [entry, `${url}/v1/sessions`, token, String(pauseMillis)], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  let said = ""
  child.stdout.on("data", (data) => (said += String(data)))
  return () => {
    child.kill("SIGKILL")
    return said.split("\n").slice(0, -1).map(Number)
  }
}

export const question: Question = async (report) => {
  const reader = Client.make()
  const before = await ServerProcess.start()
  const { directory } = before
  const { accountId } = await Daemon.login(before.url, reader)
  await before.stop()
  ServerProcess.seedSessions(directory, accountId, sessionCount, pageBytes / sessionCount)
  const server = await ServerProcess.start({ directory })
  const { token } = await Daemon.login(server.url, reader)
  const other = await Daemon.login(server.url)

  const pages: Array<number> = []
  const reading = () => {
    const stop = startReading(server.url, token)
    return () => void pages.push(...stop())
  }
  const tails = await RegistrationRounds.measure(
    roundCount,
    { perSecond, turnMillis, register: other.register },
    { idle: () => () => {}, read: reading }
  )
  const ratio = tails.ratio("read", "idle")
  // The last page of a turn may have been cut off with its reader.
  const whole = pages.filter((bytes) => bytes >= pageBytes)
  if (whole.length < pages.length / 2 || whole.length === 0) throw new Error(`pages of ${pages.join(", ")} bytes`)
  report({
    id: "T14",
    ours: tails.sides.read.median,
    theirs: tails.sides.idle.median,
    unit: "ms p99",
    ratio,
    target: "ratio <= 1.25",
    met: ratio <= 1.25,
    note: `${whole.length} pages; ${tails.together("read", "idle")}`
  })
  await server.stop()
}
