/**
 * What is counted about the feed of changes.
 *
 * @since 0.1.0
 */
import { Metric } from "effect"

const requests = Metric.counter("changes_requests_total", {
  description: "Requests for the changes of an account, by outcome",
  incremental: true
})

const returned = Metric.counter("changes_returned_changes_total", {
  description: "Changes that such requests were answered with",
  incremental: true
})

/**
 * @category metrics
 * @since 0.1.0
 */
export const countRequest = (result: "ok" | "cursor-gone", changeCount: number): void => {
  Metric.tagged(requests, "result", result).unsafeUpdate(1, [])
  returned.unsafeUpdate(changeCount, [])
}
