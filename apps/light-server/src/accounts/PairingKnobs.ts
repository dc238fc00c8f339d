/** The variables behind the options of `PairingStore`. */
import * as Knob from "../ConfigKnob.ts"
import type { Options } from "./PairingStore.ts"

export const knobs = {
  pairingLifetimeMillis: Knob.integer("HAPPIER_PAIRING_LIFETIME_MS", {
    fallback: "900000",
    min: 60_000,
    max: 86_400_000,
    meaning: "How long a pairing request waits for its answer, and how long the answer can be fetched."
  }),
  pairingCapacity: Knob.integer("HAPPIER_PAIRING_CAPACITY", {
    fallback: "1000",
    min: 10,
    max: 10_000,
    meaning: "Pairing requests of one kind that are kept; the oldest without an answer makes room for one more."
  })
}

export const optionsOf = (values: {
  readonly pairingLifetimeMillis: number
  readonly pairingCapacity: number
}): Options => ({ lifetime: values.pairingLifetimeMillis, capacity: values.pairingCapacity })
