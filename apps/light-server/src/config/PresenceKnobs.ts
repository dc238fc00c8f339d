/** The settings of presence. Their defaults and their constraints are those of the library. */
import { Duration, Either } from "effect"
import * as PresenceConfig from "presence-effect/presence/PresenceConfig"
import * as Knob from "../ConfigKnob.ts"

const { defaults } = PresenceConfig

export const knobs = {
  interval: Knob.millis("HAPPIER_PRESENCE_FLUSH_INTERVAL_MS", {
    fallback: defaults.interval,
    min: 100,
    max: "1 hour",
    meaning: "Time between two flushes. A crash can lose this much of presence."
  }),
  persistThreshold: Knob.millis("HAPPIER_PRESENCE_PERSIST_THRESHOLD_MS", {
    fallback: defaults.persistThreshold,
    min: 0,
    max: "1 hour",
    meaning: "An active row is written again only when its time has moved by more than this."
  }),
  offlineTimeout: Knob.millis("HAPPIER_PRESENCE_OFFLINE_TIMEOUT_MS", {
    fallback: defaults.offlineTimeout,
    min: "1 second",
    max: "1 day",
    meaning: "A row is offline after this time without a sign of life."
  }),
  sweepInterval: Knob.millis("HAPPIER_PRESENCE_SWEEP_INTERVAL_MS", {
    fallback: defaults.sweepInterval,
    min: "1 second",
    max: "1 hour",
    meaning: "Time between two searches for silent rows."
  }),
  disconnectGrace: Knob.millis("HAPPIER_PRESENCE_DISCONNECT_GRACE_MS", {
    fallback: defaults.disconnectGrace,
    min: 0,
    max: "1 hour",
    meaning: "Time to come back after the last connection closed, before the row is offline."
  }),
  startGrace: Knob.millis("HAPPIER_PRESENCE_START_GRACE_MS", {
    fallback: defaults.startGrace,
    min: 0,
    max: "1 hour",
    meaning: "Time to come back after a start or a long pause of the process, before a row is offline."
  }),
  drainTimeout: Knob.millis("HAPPIER_PRESENCE_DRAIN_TIMEOUT_MS", {
    fallback: defaults.drainTimeout,
    min: 100,
    max: "2 minutes",
    meaning: "Longest wait for the last flush at shutdown."
  })
}

const variables: Knob.Table = knobs

/** The configuration of the library, or its contradictions, by the names of the variables. */
export const configOf = (
  values: Knob.Values<typeof knobs>
): Either.Either<PresenceConfig.PresenceConfig, ReadonlyArray<string>> => {
  const acceptanceWindow = Duration.min(defaults.acceptanceWindow, Duration.times(values.offlineTimeout, 4))
  return PresenceConfig.resolve(
    { ...values, acceptanceWindow: Duration.toMillis(acceptanceWindow) },
    (knob) => variables[knob]?.name ?? knob
  ).pipe(Either.mapLeft(({ problems }) => problems))
}
