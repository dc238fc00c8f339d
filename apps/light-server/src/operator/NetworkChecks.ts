/** Checks of the way from clients to the server: its public address, the proxy in front, pages of other origins. */
import { Effect, Option, Schema } from "effect"
import http from "node:http"
import https from "node:https"
import { randomBytes } from "node:crypto"
import type { DoctorOptions } from "./DoctorOptions.ts"
import * as Finding from "./Finding.ts"
import { command } from "../Version.ts"

const serverCheck = { code: "D301", name: "server" }
const addressCheck = { code: "D302", name: "public address" }
const socketCheck = { code: "D303", name: "websocket" }
const proxyCheck = { code: "D304", name: "proxy headers" }
const corsCheck = { code: "D305", name: "CORS" }
const reachCheck = { code: "D306", name: "reach" }

const decodeVersion = Schema.decodeUnknownOption(
  Schema.parseJson(Schema.Struct({ service: Schema.Literal("happier-server") }))
)
const isOurs = (text: string): boolean => Option.isSome(decodeVersion(text))

const patienceOf = ({ patienceMillis = 5000 }: DoctorOptions) => patienceMillis

const server = ({ server }: DoctorOptions): ReadonlyArray<Finding.Finding> => {
  if (server === undefined) {
    return [
      Finding.warning(serverCheck, {
        found: "no server runs on the data directory",
        cause: "clients cannot connect",
        fix: `start it: ${command} serve, or systemctl start light-server`
      })
    ]
  }
  const failing = server.checks.filter(({ ok }) => !ok)
  if (failing.length === 0) return [Finding.ok(serverCheck, `process ${server.pid} is ready at ${server.url}`)]
  return failing.map(({ code, detail, name }) =>
    Finding.problem(serverCheck, {
      found: `${name}: ${code}: ${detail}`,
      cause: "the server is not ready",
      fix: "see the check in docs/operations.md, under Health"
    })
  )
}

/** The error of `fetch` hides the reason in its cause. */
const reasonOf = (cause: unknown): string => {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
  return inner instanceof Error ? inner.message || inner.name : String(inner)
}

const fetched = (options: DoctorOptions, url: string, init: RequestInit = {}) =>
  Effect.tryPromise({
    try: async () => {
      const response = await fetch(url, { ...init, signal: AbortSignal.timeout(patienceOf(options)) })
      return { status: response.status, text: await response.text(), headers: response.headers }
    },
    catch: reasonOf
  })

const below = (url: string, path: string) => `${url.replace(/\/$/, "")}${path}`

const address = (options: DoctorOptions, url: string) =>
  fetched(options, below(url, "/version")).pipe(
    Effect.flatMap(({ status, text }) =>
      isOurs(text)
        ? Effect.succeed(Finding.ok(addressCheck, `${url} leads here`))
        : Effect.fail(`status ${status} from something that is not this server`)
    ),
    Effect.catchAll((reason) =>
      Effect.succeed(
        Finding.problem(addressCheck, {
          found: `${url}/version: ${reason}`,
          cause: "clients that use this address cannot reach the server",
          fix: "check the name, the certificate, the proxy's upstream and the firewall; or correct PUBLIC_URL"
        })
      )
    )
  )

/** Whether an upgrade to a websocket gets through. */
const upgrade = (options: DoctorOptions, url: string) =>
  Effect.async<void, string>((resume) => {
    const target = new URL(below(url, "/v1/updates/?EIO=4&transport=websocket"))
    const request = (target.protocol === "https:" ? https : http).get(target, {
      headers: {
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": randomBytes(16).toString("base64")
      },
      timeout: patienceOf(options)
    })
    request.once("upgrade", (_, socket) => {
      socket.destroy()
      resume(Effect.void)
    })
    request.once("response", (response) => {
      response.destroy()
      resume(Effect.fail(`status ${response.statusCode} instead of 101`))
    })
    request.once("timeout", () => request.destroy(new Error(`no answer within ${patienceOf(options)} ms`)))
    request.on("error", (cause) => resume(Effect.fail(cause.message)))
    return Effect.sync(() => void request.destroy())
  })

const websocket = (options: DoctorOptions, url: string) =>
  upgrade(options, url).pipe(
    Effect.as(Finding.ok(socketCheck, "the upgrade gets through")),
    Effect.catchAll((reason) =>
      Effect.succeed(
        Finding.problem(socketCheck, {
          found: reason,
          cause: "daemons and agents connect with websockets only",
          fix: "let the proxy pass on Connection and Upgrade, over HTTP/1.1, and keep idle connections for 60 s"
        })
      )
    )
  )

const proxy = ({ publicUrl, server, trustedProxies }: DoctorOptions): Finding.Finding => {
  if (trustedProxies.length > 0) return Finding.ok(proxyCheck, `trusted: ${trustedProxies.join(", ")}`)
  if (publicUrl === undefined || (server !== undefined && new URL(publicUrl).host === new URL(server.url).host)) {
    return Finding.ok(proxyCheck, "no proxy is configured")
  }
  return Finding.warning(proxyCheck, {
    found: "PUBLIC_URL leads elsewhere than to the server itself, and HAPPIER_TRUSTED_PROXIES is unset",
    cause: "all clients share the address of the proxy: one that fails to log in over and over locks all others out",
    fix: "set HAPPIER_TRUSTED_PROXIES to the address of the proxy; for one on this machine: loopback"
  })
}

/** Asks as a page of the origin would, by the way that pages take. */
const cors = (options: DoctorOptions, url: string) =>
  Effect.gen(function* () {
    const origins = options.corsOrigins.map((origin) => (origin === "*" ? "https://app.example.org" : origin))
    if (origins.length === 0) return Finding.ok(corsCheck, "no web page of another origin may call the server")
    const refused = yield* Effect.filter(origins, (origin) =>
      fetched(options, below(url, "/v1/auth"), {
        method: "OPTIONS",
        headers: { origin, "access-control-request-method": "POST" }
      }).pipe(
        Effect.map(({ headers }) => ![origin, "*"].includes(headers.get("access-control-allow-origin") ?? "")),
        Effect.orElseSucceed(() => true)
      )
    )
    if (refused.length === 0) return Finding.ok(corsCheck, options.corsOrigins.join(", "))
    return Finding.problem(corsCheck, {
      found: `a preflight of ${refused.join(", ")} is not answered as configured`,
      cause: "a browser blocks the pages of that origin",
      fix: "let the proxy pass on OPTIONS and the access-control headers; restart a server that was started without it"
    })
  })

const isLoopback = (host: string) => /^(127\.|::1$|localhost$)/.test(host)

const reach = ({ host, publicUrl }: DoctorOptions): Finding.Finding => {
  if (publicUrl !== undefined) return Finding.ok(reachCheck, publicUrl)
  return isLoopback(host)
    ? Finding.warning(reachCheck, {
        found: `the server listens on ${host}, and PUBLIC_URL is unset`,
        cause: "only clients on this machine reach it; a phone does not",
        fix: "put a proxy or a VPN in front and set PUBLIC_URL; see docs/operations.md, Accepting clients"
      })
    : Finding.warning(reachCheck, {
        found: `the server listens on ${host} without TLS`,
        cause: "tokens cross the network in clear text, unless it is a VPN",
        fix: "listen on a VPN's address, or put a proxy with TLS in front, set HOST=127.0.0.1 and PUBLIC_URL"
      })
}

export const run = (options: DoctorOptions): Effect.Effect<ReadonlyArray<Finding.Finding>> =>
  Effect.gen(function* () {
    const here = [...server(options), proxy(options), reach(options)]
    const url = options.publicUrl ?? options.server?.url
    if (url === undefined) return here
    // While no server runs nothing can answer, which is said above.
    if (options.server === undefined) return [...here, Finding.skipped(addressCheck, "no server runs")]
    return [...here, yield* address(options, url), yield* websocket(options, url), yield* cors(options, url)]
  })
