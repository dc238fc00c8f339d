/** What is counted about quotas. */
import * as Tally from "../Tally.ts"
import type { QuotaKind } from "./QuotaTriggers.ts"

const refusals = Tally.counter("account_quota_refusals_total", "Writes that the quota of their account refused", [
  "quota"
])

export const countRefusal = (quota: QuotaKind): void => refusals({ quota })

/** Lets every series exist from the first scrape on. */
export const start = (): void => {
  for (const quota of ["bytes", "rows"] as const) refusals({ quota }, 0)
}
