/**
 * Where log lines go, without waiting for their reader.
 *
 * A pipe that is not read takes 64 KiB. A blocking write to a full pipe stops the event loop, and with it the server,
 * until the reader continues. So lines for a pipe wait in memory, up to a limit; lines beyond it are dropped.
 */
import { Effect } from "effect"
import fs from "node:fs"
import type { Writable } from "node:stream"
import pino from "pino"

export interface LogOutput {
  readonly write: (line: string) => void
  /** Succeeds when what was written has left the process. */
  readonly flush: Effect.Effect<void>
}

/** A stream that accepts lines while less than `bytesMax` wait in it. Survives the end of its reader. */
export const bounded = (
  stream: Writable,
  options: { readonly bytesMax: number; readonly dropped: () => void }
): LogOutput => {
  // Without a listener the loss of the reader would end the process.
  stream.on("error", () => {})
  return {
    write: (line) => {
      if (stream.destroyed || stream.writableLength + line.length > options.bytesMax) return options.dropped()
      stream.write(line)
    },
    flush: Effect.async<void>((resume) => {
      if (stream.destroyed || stream.writableLength === 0) return resume(Effect.void)
      stream.write("", () => resume(Effect.void))
    })
  }
}

const isPipe = (): boolean => {
  try {
    const stats = fs.fstatSync(process.stdout.fd)
    return stats.isFIFO() || stats.isSocket()
  } catch {
    return false
  }
}

/** Standard output. Into files and terminals lines are written at once, so that none is missing after a crash. */
export const standard = (dropped: () => void): LogOutput => {
  if (isPipe()) return bounded(process.stdout, { bytesMax: 1_048_576, dropped })
  const stream = pino.destination({ fd: process.stdout.fd, sync: true })
  return { write: (line) => void stream.write(line), flush: Effect.void }
}
