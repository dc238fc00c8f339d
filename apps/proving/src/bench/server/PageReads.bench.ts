/**
 * T14: registrations of one account while another one reads its sessions, 8 MB of
 * them, a page after the other. The other side is the same server without the
 * reader. The two take turns.
 */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as Client from "../../drivers/AccountClient.ts"
import * as Daemon from "./support/Daemon.ts"
import * as Registrations from "./support/Registrations.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const pageBytes = 8e6
/** A list without a cursor ends here. */
const sessionCount = 150
/** Between two pages. The reader would else keep one of two processors busy by itself. */
const pauseMillis = 150
const perSecond = 50
const turnMillis = 4_000
const turnCount = 4

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

  const idle = Registrations.makeHistogram()
  const read = Registrations.makeHistogram()
  const pages: Array<number> = []
  for (let turn = 0; turn <= turnCount; turn++) {
    const load = { perSecond, forMillis: turnMillis, seed: turn + 1 }
    const isCounted = turn > 0
    await Registrations.record(isCounted ? idle : Registrations.makeHistogram(), load, other.register)
    const stop = startReading(server.url, token)
    await Registrations.record(isCounted ? read : Registrations.makeHistogram(), load, other.register)
    pages.push(...stop())
  }
  const ours = Registrations.percentileMillis(read, 99)
  const theirs = Registrations.percentileMillis(idle, 99)
  // The last page of a turn may have been cut off with its reader.
  const whole = pages.filter((bytes) => bytes >= pageBytes)
  if (whole.length < pages.length / 2 || whole.length === 0) throw new Error(`pages of ${pages.join(", ")} bytes`)
  report({
    id: "T14",
    ours,
    theirs,
    unit: "ms p99",
    ratio: ours / theirs,
    target: "ratio <= 1.25",
    met: ours / theirs <= 1.25,
    note:
      `${whole.length} pages; p50 ${Rounds.digits(Registrations.percentileMillis(read, 50))} against ` +
      `${Rounds.digits(Registrations.percentileMillis(idle, 50))} ms`
  })
  await server.stop()
}
