/** The settings of accounts and of pairing. */
import { Either } from "effect"
import * as Knob from "../ConfigKnob.ts"

/** Which keys may open a new account. Existing accounts can always log in. */
export type SignUp =
  | "open"
  | "closed"
  /** Open until there is one account. */
  | "first-account"

const parseSignUp = (text: string): Either.Either<SignUp, string> => {
  const word = text.toLowerCase()
  if (word === "first-account") return Either.right("first-account")
  if (word === "open" || Knob.yes.includes(word)) return Either.right("open")
  return word === "closed" || Knob.no.includes(word) ? Either.right("closed") : Either.left("")
}

export const signUpKnobs = {
  signUp: Knob.make<SignUp>(
    "AUTH_ANONYMOUS_SIGNUP_ENABLED",
    {
      fallback: "open",
      fallbackText: "1",
      allowed: `${Knob.flagAllowed}; first-account`,
      meaning:
        "Whether a new key may open an account. Off: only existing accounts log in, every other key gets 403 " +
        "`signup-disabled`. `first-account`: on until there is one account."
    },
    parseSignUp
  )
}

export const pairingKnobs = {
  lifetime: Knob.millis("HAPPIER_PAIRING_LIFETIME_MS", {
    fallback: "15 minutes",
    min: "1 minute",
    max: "1 day",
    meaning: "How long a pairing request waits for its answer, and how long the answer can be fetched."
  })
}
