/**
 * File systems of a scenario's own, gone when its scope closes.
 */
import { Effect, type Scope } from "effect"
import { spawnSync } from "node:child_process"
import fs from "node:fs"
import path from "node:path"
import * as TemporaryDirectory from "../../drivers/TemporaryDirectory.ts"

/** Runs a program to its end; dies with its output when it fails. */
export const command = (program: string, ...args: ReadonlyArray<string>): Effect.Effect<string> =>
  Effect.suspend(() => {
    const { error, status, stderr, stdout } = spawnSync(program, args, { encoding: "utf8" })
    return status === 0
      ? Effect.succeed(stdout)
      : Effect.dieMessage(`${program} ${args.join(" ")} ended with ${status}: ${error?.message ?? stderr}`)
  })

/** Mounts on a new directory and answers with it. */
const mounted = (...args: ReadonlyArray<string>): Effect.Effect<string, never, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = path.join(yield* TemporaryDirectory.make, "mount")
    fs.mkdirSync(directory)
    yield* Effect.acquireRelease(command("mount", ...args, directory), () => command("umount", directory))
    return directory
  })

/** A file system in memory. */
export const tmpfs = (sizeMebibytes: number): Effect.Effect<string, never, Scope.Scope> =>
  mounted("-t", "tmpfs", "-o", `size=${sizeMebibytes}m`, "tmpfs")

/** An ext4 file system in a file: where the file is, and where it is mounted. */
export const image = (sizeMebibytes: number) =>
  Effect.gen(function* () {
    const file = path.join(yield* TemporaryDirectory.make, "disk.img")
    yield* command("truncate", "--size", `${sizeMebibytes}M`, file)
    yield* command("mkfs.ext4", "-q", file)
    return { file, directory: yield* imageOf(file) }
  })

/** Mounts such a file, and with it replays its journal. */
export const imageOf = (file: string): Effect.Effect<string, never, Scope.Scope> => mounted("-o", "loop", file)
