/** Addresses of a PostgreSQL server, as `pg` reads them. */

/** What is wrong with an address for this lab. `undefined`: nothing. */
export const problemOf = (text: string): string | undefined => {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    return "it cannot be read as an address: percent-encode special characters of the password"
  }
  if (url.protocol !== "postgres:" && url.protocol !== "postgresql:") return "it does not begin with postgres://"
  if (url.hostname === "" && !url.searchParams.has("host")) return "it has no host"
  if (url.pathname.length < 2) return "it has no database, such as /postgres at its end"
  const mode = url.searchParams.get("sslmode")
  if (mode !== null && mode !== "disable" && mode !== "no-verify") {
    return "statements are delayed on their way, so the certificate cannot be checked: use sslmode=no-verify or disable"
  }
  return undefined
}

/** Without user and password. */
export const shown = (text: string): string => {
  const url = new URL(text)
  const host = url.hostname === "" ? (url.searchParams.get("host") ?? "") : url.host
  return `postgres://${host}${url.pathname}`
}

/** The same server, with more settings for each connection. */
export const withSettings = (text: string, settings: Readonly<Record<string, string | number>>): string => {
  const url = new URL(text)
  const given = url.searchParams.get("options")
  const more = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`)
  url.searchParams.set("options", [...(given === null ? [] : [given]), ...more].join(" "))
  // `pg` decodes %20 and takes a plus for itself.
  url.search = url.search.replaceAll("+", "%20")
  return url.href
}

/** Where the bytes go: a port of a host, or a socket in a folder. */
export type Endpoint = { readonly host: string; readonly port: number } | { readonly path: string }

export const endpointOf = (text: string): Endpoint => {
  const url = new URL(text)
  const port = Number(url.searchParams.get("port") ?? (url.port === "" ? 5432 : url.port))
  const host = decodeURIComponent(url.searchParams.get("host") ?? url.hostname)
  return host.startsWith("/") ? { path: `${host}/.s.PGSQL.${port}` } : { host: host.replaceAll(/[[\]]/g, ""), port }
}

/** The same database through a port of this machine. */
export const through = (text: string, port: number): string => {
  const url = new URL(text)
  url.searchParams.delete("host")
  url.searchParams.delete("port")
  const search = url.search.replaceAll("+", "%20")
  const user = url.username === "" ? "" : `${url.username}${url.password === "" ? "" : `:${url.password}`}@`
  return `postgres://${user}127.0.0.1:${port}${url.pathname}${search}`
}
