/** The policy of the writer, changed according to the settings. */
import { Either } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import * as WriterPolicy from "presence-effect/writer/WriterPolicy"
import type { Values } from "../ConfigKnob.ts"
import { writeKnobs } from "../opening/DatabaseKnobs.ts"

interface Warned {
  readonly policy: WriterPolicy.WriterPolicy
  readonly warnings: ReadonlyArray<string>
}

const withBusyTimeout = (policy: WriterPolicy.WriterPolicy, asked: number): Warned => {
  const resolved = Either.getOrThrow(WriterPolicy.resolve(policy))
  return resolved.lanes
    .filter(({ lane }) => lane === Lane.control || lane === Lane.data)
    .reduce<Warned>(
      ({ policy, warnings }, terms) => {
        // What one attempt may take, and the delay before it, must still fit below the deadline.
        const spent = WriterPolicy.worstCaseMillis({ ...terms, retryForMillis: 0 }) + terms.retryDelayMaxMillis
        const retryFor = Math.min(asked, terms.deadlineMillis - spent)
        const retry = policy.lanes.find(({ lane }) => lane === terms.lane)?.retry
        const cut =
          `${writeKnobs.busyTimeoutMillis.name} is ${asked} ms, but lane ${terms.lane} answers within its ` +
          `deadline of ${terms.deadlineMillis} ms, so it keeps trying for ${retryFor} ms`
        return {
          policy:
            retry === undefined ? policy : WriterPolicy.withLane(policy, terms.lane, { retry: { ...retry, retryFor } }),
          warnings: retryFor === asked ? warnings : [...warnings, cut]
        }
      },
      { policy, warnings: [] }
    )
}

export const writerPolicyOf = ({ busyTimeoutMillis, synchronous }: Values<typeof writeKnobs>): Warned => {
  const durability = synchronous === "FULL" ? "power-loss" : "process-crash"
  const policy: WriterPolicy.WriterPolicy =
    synchronous === undefined
      ? WriterPolicy.defaults
      : { ...WriterPolicy.defaults, lanes: WriterPolicy.defaults.lanes.map((lane) => ({ ...lane, durability })) }
  const patient =
    busyTimeoutMillis === undefined ? { policy, warnings: [] } : withBusyTimeout(policy, busyTimeoutMillis)
  return synchronous === "NORMAL"
    ? {
        policy: patient.policy,
        warnings: [
          `${writeKnobs.synchronous.name} is NORMAL: an acknowledged write can be lost when the power fails`,
          ...patient.warnings
        ]
      }
    : patient
}
