/** Whether the native driver that is installed is safe on this Node. */
import * as Effect from "effect/Effect"
import { createRequire } from "node:module"

const numbers = (version: string): ReadonlyArray<number> => version.split(".").map(Number)

/**
 * Node 24 from 24.19 on aborts when the objects of a driver are collected as garbage that is built on its class
 * `ObjectWrap`, as better-sqlite3 is up to version 12. Version 13 is built on Node-API.
 *
 * **Source**: https://github.com/nodejs/node/issues/65446
 */
export const misfitOf = (node: string, driver: string): string | undefined => {
  const [major = 0, minor = 0] = numbers(node)
  const [driverMajor = 0] = numbers(driver)
  if (major !== 24 || minor < 19 || driverMajor >= 13) return undefined
  return (
    `better-sqlite3 ${driver} can abort the process on Node ${node}, when statements are collected as garbage: ` +
    "install better-sqlite3 13, or run another version of Node"
  )
}

/** The version of the driver. `undefined` where it cannot be read, as in a bundle that contains it. */
const driverVersion = (): string | undefined => {
  try {
    const { version } = createRequire(import.meta.url)("better-sqlite3/package.json") as { readonly version: string }
    return version
  } catch {
    return undefined
  }
}

let isChecked = false

/** Logs once per process what is known to go wrong. */
export const warnOfMisfit: Effect.Effect<void> = Effect.suspend(() => {
  if (isChecked) return Effect.void
  isChecked = true
  const driver = driverVersion()
  const misfit = driver === undefined ? undefined : misfitOf(process.versions.node, driver)
  return misfit === undefined
    ? Effect.void
    : Effect.logWarning(misfit).pipe(Effect.annotateLogs("code", "DRIVER_MISFIT"))
})
