/** Where a PostgreSQL database is, and what may be said about it: never its password. */
import { Either, Redacted } from "effect"

export interface PostgresAddress {
  /** With user and password. */
  readonly url: Redacted.Redacted
  /** `postgres://host:5432/name`, for people. */
  readonly place: string
}

/** How the connections of a server are called in `pg_stat_activity`. */
export const serverName = "happier-light-server"

/** A text begins like the address of a PostgreSQL database. */
export const isAddress = (text: string): boolean => /^postgres(ql)?:/i.test(text)

/** Reads a URL, or gives the reason why it cannot be read. The reason holds no part of the URL. */
export const parse = (text: string): Either.Either<PostgresAddress, string> => {
  if (!URL.canParse(text)) return Either.left("It is not a URL; special characters of the password must be encoded")
  const url = new URL(text)
  const host = url.searchParams.get("host") ?? decodeURIComponent(url.hostname)
  const name = decodeURIComponent(url.pathname.slice(1))
  if (!/^postgres(ql)?:\/\//i.test(text) || host === "") return Either.left("It must name a host")
  if (name === "") return Either.left("It must name a database")
  const isSocket = host.startsWith("/")
  const place = isSocket ? `${host}/${name}` : `${host}:${url.port === "" ? "5432" : url.port}/${name}`
  return Either.right({ url: Redacted.make(text), place: `postgres://${place}` })
}
