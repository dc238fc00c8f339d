/** The settings that the arguments give, for the command that is loaded. */
import type { Settings } from "./Request.ts"

let kept: Settings = {}

/** Puts them into the environment too: a process that the command starts inherits them. */
export const keep = (settings: Settings): void => {
  kept = settings
  Object.assign(process.env, settings)
}

export const settings = (): Settings => kept
