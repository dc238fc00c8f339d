/** Origins that browsers and apps in a web view may call from. */
import { Either } from "effect"

/**
 * An origin as browsers send it: scheme, host and port in lower case, without a
 * slash at the end. Apps have schemes of their own, such as `tauri://localhost`,
 * whose origin URLs do not know. `undefined`: it has a path, or is no origin.
 */
export const normalise = (text: string): string | undefined => {
  if (!URL.canParse(text)) return undefined
  const { hash, host, origin, password, pathname, protocol, search, username } = new URL(text)
  if (host === "" || !["", "/"].includes(pathname) || `${search}${hash}${username}${password}` !== "") return undefined
  return origin === "null" ? `${protocol}//${host.toLowerCase()}` : origin
}

/** Origins separated by commas, or `*` alone. */
export const parse = (text: string): Either.Either<ReadonlyArray<string>, string> => {
  const words = text
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "")
  const wrong = words.filter((word) => word !== "*" && normalise(word) === undefined)
  if (wrong.length > 0) return Either.left(`${wrong.join(", ")}: an origin is scheme, host and port, without a path`)
  if (words.includes("*") && words.length > 1) return Either.left("* stands alone")
  return Either.right([...new Set(words.map((word) => normalise(word) ?? word))])
}
