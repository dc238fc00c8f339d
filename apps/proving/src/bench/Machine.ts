/** The machine on which the numbers were measured, without a name that would identify it. */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { performance } from "node:perf_hooks"
import { digits, median } from "./Rounds.ts"

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGigabytes: number
  readonly system: string
  readonly node: string
  /** Load average of the last minute, when the run began. */
  readonly load: number
  /** Median time to append 4 KiB to a file and have it on the disk. */
  readonly fsyncMillis: number
}

const fsyncMillis = (): number => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "presence-bench-disk-"))
  try {
    const file = fs.openSync(path.join(directory, "probe"), "w")
    const page = Buffer.alloc(4096)
    const samples = Array.from({ length: 50 }, () => {
      const began = performance.now()
      fs.writeSync(file, page)
      fs.fdatasyncSync(file)
      return performance.now() - began
    })
    fs.closeSync(file)
    return median(samples)
  } finally {
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

export const describe = (): Machine => ({
  cpu: os.cpus()[0]?.model.trim() ?? "unknown",
  cores: os.availableParallelism(),
  memoryGigabytes: Math.round(os.totalmem() / 2 ** 30),
  system: `${os.type()} ${os.release()}`,
  node: process.versions.node,
  load: Number(digits(os.loadavg()[0] ?? 0)),
  fsyncMillis: Number(digits(fsyncMillis()))
})

export const toText = ({ cores, cpu, fsyncMillis, load, memoryGigabytes, node, system }: Machine): string =>
  `${cpu}, ${cores} cores, ${memoryGigabytes} GB, ${system}, Node ${node}, fsync ${fsyncMillis} ms, load ${load}`
