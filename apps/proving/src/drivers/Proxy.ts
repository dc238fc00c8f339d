/** Proxies of Debian in front of a server, with the configurations that are delivered. */
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import fs from "node:fs"
import path from "node:path"
import * as BuiltServer from "./BuiltServer.ts"
import * as Eventually from "./Eventually.ts"
import * as TemporaryDirectory from "./TemporaryDirectory.ts"

export const deployDirectory = path.resolve(import.meta.dirname, "../../../../deploy")

interface Program {
  readonly name: string
  readonly file: string
  /** The command for a site at `port` in front of `upstream`. */
  readonly command: (place: { readonly directory: string; readonly port: number; readonly upstream: string }) => {
    readonly args: ReadonlyArray<string>
    readonly check: ReadonlyArray<string>
    readonly environment: object
  }
}

const caddyfile = path.join(deployDirectory, "Caddyfile")

export const caddy: Program = {
  name: "Caddy",
  file: "/usr/bin/caddy",
  command: ({ directory, port, upstream }) => {
    const config = ["--config", caddyfile, "--adapter", "caddyfile"]
    return {
      args: ["run", ...config],
      check: ["validate", ...config],
      environment: {
        HOME: directory,
        XDG_DATA_HOME: directory,
        LIGHT_SERVER_SITE: `http://127.0.0.1:${port}`,
        LIGHT_SERVER_UPSTREAM: upstream,
        // The port of its own administration would be in the way of a second one.
        CADDY_ADMIN: "off"
      }
    }
  }
}

export const nginx: Program = {
  name: "nginx",
  file: "/usr/sbin/nginx",
  command: ({ directory, port, upstream }) => {
    const site = fs
      .readFileSync(path.join(deployDirectory, "nginx.conf"), "utf8")
      .replace("listen 80;", `listen 127.0.0.1:${port};`)
      .replace("    listen [::]:80;\n", "")
      .replace("127.0.0.1:3005", upstream)
    fs.writeFileSync(path.join(directory, "site.conf"), site)
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
      .map((name) => `${name}_temp_path ${directory}/${name};`)
      .join(" ")
    const main = path.join(directory, "nginx.conf")
    fs.writeFileSync(
      main,
      // Its workers write large bodies into the directory of the test.
      `${process.getuid?.() === 0 ? "user root; " : ""}daemon off; pid ${directory}/pid; error_log stderr;
events {} http { access_log off; ${temporary} include ${directory}/site.conf; }`
    )
    const config = ["-p", directory, "-c", main]
    return { args: config, check: ["-t", ...config], environment: {} }
  }
}

export const isInstalled = ({ file }: Program): boolean => fs.existsSync(file)

/** Resolves with the code and the output of a program that ends by itself. */
const outcome = (child: ChildProcess) =>
  Effect.async<{ readonly code: number | null; readonly output: string }>((resume) => {
    let output = ""
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (data) => (output += String(data)))
    child.once("close", (code) => resume(Effect.succeed({ code, output })))
  })

const spawned = (file: string, args: ReadonlyArray<string>, environment: object) =>
  spawn(file, args, { env: { ...process.env, ...environment }, stdio: ["ignore", "pipe", "pipe"] })

/** The address of a proxy in front of the server, until the scope closes. Dies when the configuration is refused. */
export const start = (program: Program, server: BuiltServer.Server): Effect.Effect<string, never, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = yield* TemporaryDirectory.make
    const port = yield* BuiltServer.freePort
    const { args, check, environment } = program.command({ directory, port, upstream: new URL(server.url).host })
    const checked = yield* outcome(spawned(program.file, check, environment))
    if (checked.code !== 0) return yield* Effect.dieMessage(`${program.name} refuses: ${checked.output}`)
    yield* Effect.acquireRelease(
      Effect.sync(() => spawned(program.file, args, environment)),
      (child) =>
        Effect.async<void>((resume) => {
          if (child.exitCode !== null) return resume(Effect.void)
          child.once("exit", () => resume(Effect.void))
          child.kill("SIGTERM")
        })
    )
    const url = `http://127.0.0.1:${port}`
    const alive = Effect.promise(() =>
      fetch(`${url}/livez`).then(
        ({ status }) => status,
        () => 0
      )
    )
    yield* Eventually.until(alive, (status) => status === 200)
    return url
  })
