/** The variables behind the options of `ChangePruner`. */
import { Duration } from "effect"
import * as Knob from "../ConfigKnob.ts"
import { defaults, type Options } from "./ChangePruner.ts"

const year = 366 * 86_400_000

export const knobs = {
  changesRetentionMillis: Knob.integer("HAPPIER_CHANGES_RETENTION_MS", {
    fallback: String(Duration.toMillis(defaults.retention)),
    min: 0,
    max: 10 * year,
    meaning: "How long a change stays in the feed of its account; 0: for ever. Who was away for longer starts over."
  }),
  changesPerAccount: Knob.integer("HAPPIER_CHANGES_PER_ACCOUNT", {
    fallback: String(defaults.linesPerAccount),
    min: 0,
    max: 100_000,
    meaning: "Changes of one account that stay in its feed, the newest ones; 0: all."
  }),
  changesPruneIntervalMillis: Knob.integer("HAPPIER_CHANGES_PRUNE_INTERVAL_MS", {
    fallback: String(Duration.toMillis(defaults.interval)),
    min: 1000,
    max: 86_400_000,
    meaning: "Time between two rounds that remove old changes."
  }),
  changesPruneLimit: Knob.integer("HAPPIER_CHANGES_PRUNE_LIMIT", {
    fallback: String(defaults.linesPerWrite),
    min: 1,
    max: 10_000,
    meaning: "Changes that one commit of such a round removes at most."
  })
} as const

type Values = { readonly [K in keyof typeof knobs]: (typeof knobs)[K] extends Knob.Knob<infer A> ? A : never }

export const optionsOf = (values: Values): Options => ({
  ...defaults,
  retention: values.changesRetentionMillis,
  linesPerAccount: values.changesPerAccount,
  interval: values.changesPruneIntervalMillis,
  linesPerWrite: values.changesPruneLimit
})
