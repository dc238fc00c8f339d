/**
 * The package of the server, packed and installed with npm as an operator does it, into a folder of the test.
 *
 * The native SQLite of this clone is copied instead of compiled: what npm does to it takes minutes, and is not ours.
 */
import { Effect, type Scope } from "effect"
import { execFileSync } from "node:child_process"
import fs from "node:fs"
import path from "node:path"
import * as TemporaryDirectory from "./TemporaryDirectory.ts"

const root = path.resolve(import.meta.dirname, "../../../..")

export const name = "happier-light-server"

const native = "node_modules/better-sqlite3/build"

/** npm uses its own cache and needs no network for what it has. */
export const npmSettings = (prefix: string): { readonly [variable: string]: string } => ({
  npm_config_prefix: prefix,
  npm_config_cache: execFileSync("npm", ["config", "get", "cache"], { encoding: "utf8" }).trim(),
  npm_config_ignore_scripts: "true",
  npm_config_prefer_offline: "true",
  npm_config_update_notifier: "false",
  npm_config_audit: "false",
  npm_config_fund: "false"
})

export interface InstalledPackage {
  /** The folder of the package. */
  readonly home: string
  /** Its command. */
  readonly command: string
  readonly tarball: string
  readonly prefix: string
}

export const make: Effect.Effect<InstalledPackage, never, Scope.Scope> = Effect.gen(function* () {
  const prefix = yield* TemporaryDirectory.make
  const folder = yield* TemporaryDirectory.make
  execFileSync(process.execPath, [path.join(root, "scripts/pack.mjs"), "--out", folder], { stdio: "pipe" })
  const [tarball = ""] = fs.readdirSync(folder)
  execFileSync("npm", ["install", "--global", path.join(folder, tarball)], {
    cwd: folder,
    env: { ...process.env, ...npmSettings(prefix) },
    stdio: ["ignore", "pipe", "pipe"]
  })
  const home = path.join(prefix, "lib/node_modules", name)
  fs.cpSync(path.join(root, native), path.join(home, native), { recursive: true })
  return { home, command: path.join(prefix, "bin", name), tarball: path.join(folder, tarball), prefix }
})

/** Puts an `npm` into `folder` that installs like npm below `prefix`, native code included. */
export const addNpm = (folder: string, prefix: string): void => {
  const npm = execFileSync("sh", ["-c", "command -v npm"], { encoding: "utf8" }).trim()
  const target = path.join(prefix, "lib/node_modules", name)
  const copy = `cp -R "${root}/${native}" "${path.dirname(path.join(target, native))}/"`
  fs.mkdirSync(folder, { recursive: true })
  fs.writeFileSync(
    path.join(folder, "npm"),
    `#!/bin/sh\n"${npm}" "$@" || exit $?\n[ "$1" != install ] || { ${copy}; }\n`,
    { mode: 0o755 }
  )
}
