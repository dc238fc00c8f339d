/** Metrics of what replicas tell each other. */
import * as Tally from "../Tally.ts"

const live = Tally.gauge("replicas_live", "Replicas that were heard of within the last second, with this one")

const up = Tally.gauge("replicas_link_up", "1 while other replicas can be reached, or none can exist; 0 otherwise")

const messages = Tally.counter("replicas_messages_total", "Messages between replicas, by what became of them", [
  "outcome"
])

const bytes = Tally.counter("replicas_sent_bytes_total", "Bytes sent to other replicas")

const waiting = Tally.gauge("replicas_waiting_bytes", "Bytes that wait to be sent to other replicas")

const losses = Tally.counter("replicas_losses_total", "Times that broadcasts of another replica were found to be lost")

const digests = Tally.counter("replicas_digests_total", "Digests of signs of life sent to other replicas")

const watched = Tally.gauge("replicas_watched_accounts", "Accounts that are watched on another replica")

/** `sent` and `received`; `dropped`: not sent, because Redis cannot be reached or does not keep up. */
export const countMessage = (outcome: "sent" | "received" | "dropped"): void => messages({ outcome })

export const countBytes = (count: number): void => bytes({}, count)

export const setWaitingBytes = (count: number): void => waiting({}, count)

export const setLive = (count: number): void => live({}, count)

export const setUp = (isUp: boolean): void => up({}, isUp ? 1 : 0)

export const countLoss = (): void => losses({})

export const countDigest = (): void => digests({})

export const setWatched = (count: number): void => watched({}, count)

/** Lets every series exist from the first scrape on. */
export const start = (): void => {
  for (const outcome of ["sent", "received", "dropped"] as const) messages({ outcome }, 0)
  bytes({}, 0)
  losses({}, 0)
  digests({}, 0)
  setWaitingBytes(0)
  setWatched(0)
  setLive(1)
  setUp(true)
}
