/**
 * What is counted about messages.
 *
 * @since 0.1.0
 */
import { Metric } from "effect"

const acks = Metric.counter("socket_message_ack_total", {
  description: "Answers to messages from sockets",
  incremental: true
})

const fetches = Metric.counter("catchup_followup_fetches_total", {
  description: "Requests for what a client missed",
  incremental: true
})

const returned = Metric.counter("catchup_followup_returned_total", {
  description: "What such requests were answered with",
  incremental: true
})

const type = "session-messages-afterSeq"

/**
 * Counts the answer to a message. `error` is `none` for one that was stored.
 *
 * @category metrics
 * @since 0.1.0
 */
export const countAck = (result: "ok" | "error", error: string): void =>
  acks.pipe(Metric.tagged("result", result), Metric.tagged("error", error)).unsafeUpdate(1, [])

/**
 * Counts messages that a client asked for because it missed them.
 *
 * @category metrics
 * @since 0.1.0
 */
export const countCatchUp = (messageCount: number): void => {
  Metric.tagged(fetches, "type", type).unsafeUpdate(1, [])
  Metric.tagged(returned, "type", type).unsafeUpdate(messageCount, [])
}
