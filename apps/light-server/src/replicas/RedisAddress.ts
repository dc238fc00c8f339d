/** Where Redis is, without what must not be shown. */
import { Redacted } from "effect"
import { RedisUnusable } from "./RedisUnusable.ts"

export interface RedisAddress {
  readonly url: string
  readonly host: string
  readonly port: number
  /** The number of the database, which the names of channels need: those are not part of a database. */
  readonly database: string
  /** The failure that an error of the client stands for. */
  readonly unusable: (cause: unknown) => RedisUnusable
}

const defaultPort = 6379

/** Replies of Redis begin with a word in capitals; anything else is a fault of the network. */
const isReply = (detail: string) => /^[A-Z]{3,} /.test(detail)

/** Errors of a connection that was tried on several addresses have no text of their own. */
const textOf = (cause: unknown): string => {
  if (cause instanceof AggregateError) return cause.errors.map(textOf).join("; ")
  return cause instanceof Error ? cause.message : String(cause)
}

export const make = (redisUrl: Redacted.Redacted): RedisAddress => {
  const text = Redacted.value(redisUrl)
  const url = new URL(text)
  const host = url.hostname.replace(/^\[|\]$/g, "")
  const port = url.port === "" ? defaultPort : Number(url.port)
  const secrets = [decodeURIComponent(url.password), url.password].filter((secret) => secret !== "")
  return {
    url: text,
    host,
    port,
    database: url.pathname.replace("/", "") || "0",
    unusable: (cause) => {
      const detail = secrets.reduce((text, secret) => text.replaceAll(secret, "***"), textOf(cause))
      return new RedisUnusable({ host, port, reason: isReply(detail) ? "Refused" : "Unreachable", detail })
    }
  }
}
