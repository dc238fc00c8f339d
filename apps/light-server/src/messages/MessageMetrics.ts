/** Metrics of messages. */
import * as Tally from "../Tally.ts"

const acks = Tally.counter("socket_message_ack_total", "Answers to messages from sockets", ["result", "error"])

const fetches = Tally.counter("catchup_followup_fetches_total", "Requests for what a client missed", ["type"])

const returned = Tally.counter("catchup_followup_returned_total", "What such requests were answered with", ["type"])

const type = "session-messages-afterSeq"

/** Counts the answer to a message. `error` is `none` for one that was stored. */
export const countAck = (result: "ok" | "error", error: string): void => acks({ result, error })

/** Counts messages that a client asked for because it missed them. */
export const countCatchUp = (messageCount: number): void => {
  fetches({ type })
  returned({ type }, messageCount)
}

/** Lets every series exist from the first scrape on. */
export const start = (): void => {
  acks({ result: "ok", error: "none" }, 0)
  for (const error of ["invalid-params", "forbidden", "session-not-found", "internal"]) {
    acks({ result: "error", error }, 0)
  }
  fetches({ type }, 0)
  returned({ type }, 0)
}
