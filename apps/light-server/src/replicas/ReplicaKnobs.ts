/** The settings of several replicas. */
import { Either, Redacted } from "effect"
import * as Knob from "../ConfigKnob.ts"

const isAddress = (text: string): boolean => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== "redis:" && url?.protocol !== "rediss:") return false
  return url.hostname !== "" && /^\/?\d{0,5}$/.test(url.pathname) && url.search === "" && url.hash === ""
}

export const knobs = {
  redisUrl: Knob.make<Redacted.Redacted | undefined>(
    "REDIS_URL",
    {
      fallback: undefined,
      allowed: "redis:// or rediss://, [user:password@]host[:port][/database]",
      isSecret: true,
      meaning:
        "The Redis through which several replicas of this server tell each other what their clients must receive. " +
        "Unset: this is the only one."
    },
    (text) => (isAddress(text) ? Either.right(Redacted.make(text)) : Either.left(""))
  )
}
