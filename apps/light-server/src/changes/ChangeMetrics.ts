/** What is counted about the feed of changes. */
import * as Tally from "../Tally.ts"

const requests = Tally.counter("changes_requests_total", "Requests for the changes of an account, by outcome", [
  "result"
])

const returned = Tally.counter("changes_returned_changes_total", "Changes that such requests were answered with")

const pruned = Tally.counter(
  "changes_pruned_changes_total",
  "Changes that were removed from the feed because they were old or too many"
)

export const countRequest = (result: "ok" | "cursor-gone", changeCount: number): void => {
  requests({ result })
  returned({}, changeCount)
}

export const countPruned = (changeCount: number): void => pruned({}, changeCount)

/** Lets every series exist from the first scrape on. */
export const start = (): void => {
  for (const result of ["ok", "cursor-gone"]) requests({ result }, 0)
  returned({}, 0)
  pruned({}, 0)
}
