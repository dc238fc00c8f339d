/**
 * The metrics of a running server under `/metrics`.
 */
import { Effect } from "effect"
import { request } from "./Device.ts"

export interface Scrape {
  /** Sum of the samples of that name whose labels include all the given ones. */
  readonly value: (name: string, labels?: Readonly<Record<string, string>>) => number
  /** The worst gap of the server's event loop since the scrape before. */
  readonly loopGapMillis: number
}

export const scrape = (url: string): Effect.Effect<Scrape> =>
  Effect.map(Effect.orDie(request(`${url}/metrics`)), ({ text }) => {
    const value: Scrape["value"] = (name, labels = {}) =>
      text
        .split("\n")
        .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
        .filter((line) => Object.entries(labels).every(([label, text]) => line.includes(`${label}="${text}"`)))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0)
    return { value, loopGapMillis: Math.round(1000 * value("event_loop_delay_seconds", { quantile: "1" })) }
  })
