/**
 * How much may be read from a socket while its earlier events wait: in bytes,
 * per socket and over all of them. A socket beyond its share is not read until
 * less is waiting, so nothing is refused and nothing is dropped.
 */
import { setIntakeBytes, setPaused } from "../RealtimeMetrics.ts"
import type { RealtimeOptions } from "../RealtimeOptions.ts"

/** Stops and continues the reading of one connection. */
export interface ReadControl {
  readonly pause: () => void
  readonly resume: () => void
}

/** The waiting events of one socket. */
export interface Intake {
  readonly add: (bytes: number) => void
  readonly remove: (bytes: number) => void
}

export interface BackPressure {
  readonly intakeOf: (control: ReadControl) => Intake
}

/** Approximate overhead of an event besides its payload, so that many small ones are not free. */
export const eventBytes = 512

export const make = (options: Pick<RealtimeOptions, "intakeBytesMax" | "intakeTotalBytesMax">): BackPressure => {
  let totalBytes = 0
  let pausedCount = 0
  const show = () => {
    setIntakeBytes(totalBytes)
    setPaused(pausedCount)
  }
  show()
  return {
    intakeOf: ({ pause, resume }) => {
      let waitingBytes = 0
      let isPaused = false
      const isBeyond = () => waitingBytes > options.intakeBytesMax || totalBytes > options.intakeTotalBytesMax
      // Half of the limit, so that a socket is not stopped and continued for each event. If nothing of its own waits, a
      // socket is read, whatever the others do.
      const isBelow = () =>
        waitingBytes === 0 || (waitingBytes <= options.intakeBytesMax / 2 && totalBytes <= options.intakeTotalBytesMax)
      return {
        add: (bytes) => {
          waitingBytes += bytes
          totalBytes += bytes
          if (!isPaused && isBeyond()) {
            isPaused = true
            pausedCount += 1
            pause()
          }
          show()
        },
        remove: (bytes) => {
          waitingBytes -= bytes
          totalBytes -= bytes
          if (isPaused && isBelow()) {
            isPaused = false
            pausedCount -= 1
            resume()
          }
          show()
        }
      }
    }
  }
}
