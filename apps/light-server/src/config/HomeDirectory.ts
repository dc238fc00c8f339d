/** Where `~` is. */
import { Either } from "effect"
import os from "node:os"
import { type Environment, textOf } from "./Environment.ts"

/** Users of many containers have no entry in the system. `os.homedir` would take an empty `HOME` for a directory. */
const ofUser = (): string | undefined => {
  try {
    return os.userInfo().homedir
  } catch {
    return undefined
  }
}

/**
 * The directory with `~` replaced. Left when there is nothing to replace it with, which only matters to a directory
 * that begins with it.
 */
export const expand = (
  directory: string,
  environment: Environment,
  userHome: () => string | undefined = ofUser
): Either.Either<string, "NoHome"> => {
  if (!/^~(?=$|\/)/.test(directory)) return Either.right(directory)
  const home = textOf(environment, "HOME") ?? userHome()
  return home === undefined || home === "" ? Either.left("NoHome") : Either.right(home + directory.slice(1))
}
