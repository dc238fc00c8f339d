/**
 * A built web app, served from a folder. Routes of the API win, and a path that
 * is neither a route nor a file is the app's own: it gets `index.html`.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify"
import fs from "node:fs"
import path from "node:path"

/** Builds put a hash into the names of files that never change: `entry-3f2a….js`, `index-BfD3kd9s.js`. */
const isHashed = (file: string): boolean =>
  /[.-][0-9a-f]{8,}\.[a-z0-9.]+$/i.test(file) || /[/\\]assets[/\\].*[.-][\w-]{8,}\.[a-z0-9]+$/i.test(file)

/** A browser revalidates a file each time, unless its name contains a hash. */
export const cacheControlOf = (file: string): string =>
  isHashed(file) && !file.endsWith(".html") ? "public, max-age=31536000, immutable" : "no-cache"

/**
 * What the web app may load. Its crypto is WebAssembly, its styles are made while
 * it runs, and pictures and files come as data. It talks to this server alone.
 */
export const contentSecurityPolicy = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src 'self' data:",
  "media-src 'self' data: blob:",
  "worker-src 'self' blob:",
  "connect-src 'self'",
  "base-uri 'self'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "object-src 'none'"
].join(";")

/** The file stays inside of the folder, also behind symbolic links. */
const isInside = (root: string, pathname: string): boolean => {
  try {
    const file = fs.realpathSync(path.join(root, decodeURIComponent(pathname)))
    return file === root || file.startsWith(root + path.sep)
  } catch {
    return true
  }
}

/** Paths of the API are never the app's own. */
const isApi = (url: string): boolean => /^\/v\d+(\/|\?|$)/.test(url)

const wantsPage = ({ headers, method, url }: FastifyRequest): boolean =>
  (method === "GET" || method === "HEAD") && !isApi(url) && (headers.accept ?? "").includes("text/html")

export interface WebApp {
  /** Serves the page of the app for paths without a route or a file. */
  readonly answer: (request: FastifyRequest, reply: FastifyReply) => boolean
}

export const none: WebApp = { answer: () => false }

/** Serves the folder. */
export const add = (fastify: FastifyInstance, directory: string): WebApp => {
  // A missing directory is reported at startup; none of its files are then found.
  const root = fs.existsSync(directory) ? fs.realpathSync(directory) : path.resolve(directory)
  // Loaded where there is an app to serve: with its globs and types of files it is a twentieth of the code.
  fastify.register(import("@fastify/static"), {
    root,
    cacheControl: false,
    dotfiles: "ignore",
    allowedPath: (pathname) => isInside(root, pathname),
    setHeaders: (response, file) => {
      response.setHeader("cache-control", cacheControlOf(file))
      response.setHeader("content-security-policy", contentSecurityPolicy)
    }
  })
  return {
    answer: (request, reply) => {
      if (!wantsPage(request) || !fs.existsSync(path.join(root, "index.html"))) return false
      reply.code(200).sendFile("index.html")
      return true
    }
  }
}

/** Whether there is a web app to serve. */
export const isBuilt = (directory: string): boolean => fs.existsSync(path.join(directory, "index.html"))
