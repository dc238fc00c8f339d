/** F40: clients that make up the addresses they come from. */
import { Effect } from "effect"
import { randomBytes } from "node:crypto"
import * as BuiltServer from "../../drivers/BuiltServer.ts"
import * as Device from "../../drivers/Device.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"

const limit = 30
const attempts = 100

/** How one client behind a proxy may look, each time another way. */
const disguises: Readonly<Record<string, (index: number) => string>> = {
  "with the port of its connection": (index) => `192.0.2.1:${10_000 + index}`,
  "with a port and quotes": (index) => `"[2001:db8::1]:${10_000 + index}"`,
  "in a network of its own": (index) => `2001:db8:0:1::${index.toString(16)}`,
  "behind addresses that it made up": (index) => `203.0.113.${index}, 192.0.2.3:${index + 1}`,
  "with words": (index) => `word-${index}`
}

export const F40MadeUpAddresses: Scenario = {
  id: "F40",
  title: "addresses that are made up",
  injected: `${attempts} pairing requests of one client, each with another X-Forwarded-For, ${limit} are allowed`,
  promises: ["P7"],
  needs: [],
  isQuick: true,
  within: "3 minutes",
  run: () =>
    Effect.gen(function* () {
      const server = yield* BuiltServer.start({
        HAPPIER_RATE_LIMIT_AUTH: String(limit),
        HAPPIER_TRUSTED_PROXIES: "loopback"
      })
      const ask = (url: string, forwarded: string) =>
        Effect.map(
          Effect.orDie(
            Device.post(
              `${url}/v1/auth/request`,
              { publicKey: randomBytes(32).toString("base64") },
              { "x-forwarded-for": forwarded }
            )
          ),
          ({ status }) => status
        )
      const observations = yield* Effect.forEach(Object.entries(disguises), ([name, disguise]) =>
        Effect.gen(function* () {
          const statuses = yield* Effect.forEach(
            Array.from({ length: attempts }, (_, index) => disguise(index)),
            (forwarded) => ask(server.url, forwarded),
            { concurrency: 4 }
          )
          const count = (wanted: number) => statuses.filter((status) => status === wanted).length
          // A server without processor time refuses some with 503, which count against the limit as well.
          return [
            Observe.atMost(`requests that passed, of a client ${name}`, count(200), limit),
            Observe.atLeast("these, and those refused for the load", count(200) + count(503), limit),
            Observe.atLeast("requests over the limit", count(429), 1)
          ]
        })
      )
      // The control: other clients behind the same proxy.
      const others = yield* Effect.forEach(
        Array.from({ length: limit }, (_, index) => `198.51.100.${index}`),
        (forwarded) => ask(server.url, forwarded)
      )
      const untrusting = yield* BuiltServer.start()
      yield* ask(untrusting.url, "192.0.2.1")
      yield* ask(untrusting.url, "192.0.2.2")
      const warnings = untrusting.output().split("PROXY_UNTRUSTED").length - 1
      return [
        ...observations.flat(),
        Observe.none(
          "refusals of other clients behind the same proxy",
          others.filter((status) => status !== 200)
        ),
        Observe.equal("warnings about a proxy that is not trusted", warnings, 1)
      ]
    })
}
