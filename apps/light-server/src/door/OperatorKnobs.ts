/** The settings that decide who sees the status page and the metrics. */
import { Either, Redacted } from "effect"
import * as Knob from "../ConfigKnob.ts"

export const knobs = {
  statusPage: Knob.choice("HAPPIER_STATUS_PAGE", ["loopback", "token", "off"], {
    fallback: "loopback",
    meaning:
      "Access to the status page, `/status`. `loopback`: for browsers on this machine, and with " +
      "`HAPPIER_OPERATOR_TOKEN`, if it is set, from everywhere. `token`: only with the token."
  }),
  metricsAccess: Knob.choice("HAPPIER_METRICS_ACCESS", ["loopback", "token", "open"], {
    fallback: "loopback",
    meaning:
      "Access to `/metrics`. `loopback` and `token`: as for the status page. " +
      "`open`: for every host that reaches the server."
  }),
  operatorToken: Knob.make<Redacted.Redacted | undefined>(
    "HAPPIER_OPERATOR_TOKEN",
    {
      fallback: undefined,
      allowed: "16 characters or more, without spaces",
      isSecret: true,
      meaning:
        "The token of the operator for status page and metrics: `Authorization: Bearer`, or the password that a " +
        "browser asks for, with any user name."
    },
    (text) => (/^\S{16,}$/.test(text) ? Either.right(Redacted.make(text)) : Either.left(""))
  )
}

/** What access by token needs, if it is missing. */
export const problemsOf = ({
  metricsAccess,
  operatorToken,
  statusPage
}: Knob.Values<typeof knobs>): ReadonlyArray<string> =>
  operatorToken !== undefined
    ? []
    : [
        { knob: knobs.statusPage, value: statusPage },
        { knob: knobs.metricsAccess, value: metricsAccess }
      ]
        .filter(({ value }) => value === "token")
        .map(({ knob }) => `${knob.name} is "token", and ${knobs.operatorToken.name} is not set`)
