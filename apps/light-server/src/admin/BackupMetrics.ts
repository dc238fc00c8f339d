/** What is measured of backups. */
import { Metric } from "effect"

/** `backup_last_success_timestamp_seconds`: when the last verified backup was begun; 0 before the first one. */
export const lastSuccessSeconds: Metric.Metric.Gauge<number> = Metric.gauge("backup_last_success_timestamp_seconds", {
  description: "Unix time of the last verified backup; 0 without one"
})

/** `backup_failing`: 1 while the last attempt failed. */
export const failing: Metric.Metric.Gauge<number> = Metric.gauge("backup_failing", {
  description: "1 while the last attempt to make a backup failed, else 0"
})
