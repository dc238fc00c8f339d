/** The directory of the server, and the secret in it. */
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { randomBytes } from "node:crypto"
import fs from "node:fs/promises"
import path from "node:path"
import * as SystemCode from "../SystemCode.ts"

/** The directory or the secret cannot be used. The message describes what to do. */
export class DataDirectoryUnusable extends Schema.TaggedError<DataDirectoryUnusable>(
  "light-server/DataDirectoryUnusable"
)("DataDirectoryUnusable", { path: Schema.String, reason: Schema.String }) {
  override get message(): string {
    return `${this.path}: ${this.reason}`
  }
}

export class DataDirectory extends Context.Tag("light-server/DataDirectory")<
  DataDirectory,
  {
    readonly path: string
    /** Seed of the tokens. It leaves this service only as keys derived from it. */
    readonly masterSecret: Redacted.Redacted
  }
>() {}

/** Name of the secret's file in the directory. */
export const secretFile = "handy-master-secret.txt"

/** Name of the file that keeps which challenges were seen. */
export const challengeFile = "login-challenges.txt"

const attempt = <A>(path: string, doing: string, run: () => Promise<A>, advice = "") =>
  Effect.tryPromise({
    try: run,
    catch: (cause) => new DataDirectoryUnusable({ path, reason: `cannot ${doing} (${SystemCode.of(cause)})${advice}` })
  })

/** The errors of file systems without hard links: exFAT, SMB shares, some in user space. */
const isWithoutLinks = (cause: unknown) =>
  ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EINVAL"].includes(SystemCode.of(cause))

const isTaken = (cause: unknown) => SystemCode.of(cause) === "EEXIST"

const writeNew = async (file: string, text: string) => {
  const handle = await fs.open(file, "wx", 0o600)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Written aside and linked into place: a crash leaves no partial secret, and of two first starts one wins. Without
 * links it is written in place, where a crash at this moment leaves a file that is too short, which the reader refuses.
 */
const createSecret = (directory: string, file: string) =>
  Effect.acquireUseRelease(
    Effect.sync(() => path.join(directory, `.${secretFile}.${process.pid}.${randomBytes(4).toString("hex")}`)),
    (aside) =>
      attempt(file, "create the secret", async () => {
        const text = `${randomBytes(32).toString("base64url")}\n`
        await writeNew(aside, text)
        await fs
          .link(aside, file)
          .catch((cause: unknown) => {
            if (!isWithoutLinks(cause)) throw cause
            return writeNew(file, text)
          })
          .catch((cause: unknown) => {
            if (!isTaken(cause)) throw cause
          })
      }),
    (aside) => Effect.promise(() => fs.rm(aside, { force: true }))
  )

const exists = (file: string) =>
  attempt(file, "look for the secret", () =>
    fs.lstat(file).then(
      () => true,
      (cause: unknown) => {
        if (SystemCode.of(cause) === "ENOENT") return false
        throw cause
      }
    )
  )

const octal = (mode: number) => (mode & 0o777).toString(8).padStart(4, "0")

const isLoose = (mode: number) => (mode & 0o077) !== 0

/** File systems of Windows, and some that are mounted without modes, show one fixed mode for everything. */
const warnOfMode = (file: string, mode: number, advice: string) =>
  Effect.logWarning(`Other users of this machine may read ${file} (mode ${octal(mode)}); ${advice}`).pipe(
    Effect.annotateLogs("code", "FILE_MODE")
  )

const readSecret = (file: string) =>
  Effect.gen(function* () {
    // Mode and text come from one open file, which cannot be replaced in between.
    const { before, mode, text } = yield* attempt(file, "read the secret", async () => {
      const handle = await fs.open(file, "r")
      try {
        const before = (await handle.stat()).mode
        // A restored copy or a permissive umask. If the owner is another user, or the file system has no modes, the
        // mode stays.
        if (isLoose(before)) await handle.chmod(0o600).catch(() => {})
        return { before, mode: (await handle.stat()).mode, text: await handle.readFile("utf8") }
      } finally {
        await handle.close()
      }
    })
    if (isLoose(mode)) {
      yield* warnOfMode(file, mode, "keep the directory on a file system with modes, or set HANDY_MASTER_SECRET")
    } else if (isLoose(before)) {
      yield* Effect.logWarning(`The mode of ${file} was ${octal(before)} and is 0600 now`).pipe(
        Effect.annotateLogs("code", "FILE_MODE")
      )
    }
    const secret = text.trim()
    if (secret.length < 16) {
      return yield* new DataDirectoryUnusable({
        path: file,
        reason:
          "the secret is shorter than 16 characters; restore it, or remove the file to get a new one and log in again"
      })
    }
    return Redacted.make(secret)
  })

/**
 * Creates what is missing: the directory with mode 0700, the secret with 0600.
 * With a `masterSecret` of the environment no file is read or created.
 *
 * The mode of a secret or a directory that other users may read is tightened if possible, with a warning.
 *
 * **Errors**: `DataDirectoryUnusable`.
 */
export const make = (options: {
  readonly path: string
  readonly masterSecret?: Redacted.Redacted | undefined
}): Effect.Effect<DataDirectory["Type"], DataDirectoryUnusable> =>
  Effect.gen(function* () {
    yield* attempt(
      options.path,
      "create the directory",
      () => fs.mkdir(options.path, { recursive: true, mode: 0o700 }),
      "; set HAPPIER_SERVER_LIGHT_DATA_DIR to a directory that this user may write to"
    )
    const { mode } = yield* attempt(options.path, "look at the directory", () => fs.stat(options.path))
    if (isLoose(mode) && process.platform !== "win32") {
      yield* warnOfMode(options.path, mode, `run: chmod 700 ${options.path}`)
    }
    if (options.masterSecret !== undefined) return { path: options.path, masterSecret: options.masterSecret }
    const file = path.join(options.path, secretFile)
    if (!(yield* exists(file))) yield* createSecret(options.path, file)
    return { path: options.path, masterSecret: yield* readSecret(file) }
  })

export const layer = (options: {
  readonly path: string
  readonly masterSecret?: Redacted.Redacted | undefined
}): Layer.Layer<DataDirectory, DataDirectoryUnusable> => Layer.effect(DataDirectory, make(options))
