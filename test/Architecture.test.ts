/**
 * Goal: the house stays as drawn in docs/architecture.md.
 * Method: read the imports of every source file and refuse the edges that the
 * drawing does not have. Type-only imports count: they bind just as well.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Edge, edgesBelow, filesBelow, violations } from "./sources.ts"

const library = "packages/presence-effect/src"
const server = "apps/light-server/src"

/** Bottom first. A module imports from lower floors only; its own floor is off limits too. */
const floors: ReadonlyArray<ReadonlyArray<string>> = [
  ["Lane", "PresenceKey", "Durability"],
  ["WriterError", "Heartbeat", "PresenceMetrics"],
  ["WriterPolicy", "Write", "FlushBatch"],
  ["SqliteConnection", "LaneSemaphore", "PresenceRegistry"],
  ["SqliteWriter"],
  ["PresenceStorage"],
  ["SqlitePresenceStorage"],
  ["PresenceFlusher", "OfflineSweeper", "WalKeeper"],
  ["PresenceConfig"],
  ["Presence"]
]

/** These stand beside the house: they may import it, it never imports them. */
const outbuildings: ReadonlySet<string> = new Set(["node", "host", "testing"])

const edges = edgesBelow(library)

const insideLibrary = (file: string): ReadonlyArray<string> =>
  file.startsWith(`${library}/`) ? file.slice(library.length + 1).split("/") : []

/** `Lane` for a module that lies flat in `src`, nothing for all others. */
const publicModule = (file: string): string | undefined => {
  const [name, ...rest] = insideLibrary(file)
  return rest.length === 0 ? name?.replace(/\.ts$/, "") : undefined
}

const isInternal = (file: string): boolean => insideLibrary(file)[0] === "internal"

const isOutbuilding = (file: string): boolean => outbuildings.has(insideLibrary(file)[0] ?? "")

const isCore = (file: string): boolean => publicModule(file) !== undefined || isInternal(file)

const floorOf = (file: string): number => floors.findIndex((floor) => floor.includes(publicModule(file) ?? ""))

/**
 * The highest floor that a file needs. Internal files have no floor of their own,
 * so they stand as high as the highest module they import, directly or not.
 */
const heightOf = (file: string, seen: ReadonlySet<string> = new Set()): number => {
  if (!isInternal(file)) return floorOf(file)
  if (seen.has(file)) return -1
  const below = edges.filter(({ from }) => from === file).map(({ to }) => heightOf(to, new Set([...seen, file])))
  return Math.max(-1, ...below)
}

describe("architecture of presence-effect", () => {
  it("gives every public module a floor", () => {
    const homeless = filesBelow(library).filter((file) => publicModule(file) !== undefined && floorOf(file) < 0)
    assert.deepStrictEqual(homeless, [])
  })

  it("has no folders but internal, node, host and testing", () => {
    const strange = filesBelow(library).filter((file) => !isCore(file) && !isOutbuilding(file))
    assert.deepStrictEqual(strange, [])
  })

  it("imports downwards only", () => {
    const climbs = ({ from, to }: Edge): boolean => floorOf(from) >= 0 && heightOf(to) >= floorOf(from)
    assert.deepStrictEqual(violations(edges, climbs), [])
  })

  it("keeps the house free of what stands beside it", () => {
    assert.deepStrictEqual(
      violations(edges, ({ from, to }) => isCore(from) && isOutbuilding(to)),
      []
    )
  })

  it("keeps simulations out of what runs in production", () => {
    const borrows = ({ from, to }: Edge): boolean =>
      insideLibrary(from)[0] !== "testing" && insideLibrary(to)[0] === "testing"
    assert.deepStrictEqual(violations(edges, borrows), [])
  })

  it("stays inside its own folder", () => {
    const escapes = ({ to }: Edge): boolean =>
      /^(packages|apps|prisma|test|scripts)\//.test(to) && !to.startsWith(library)
    assert.deepStrictEqual(violations(edges, escapes), [])
  })

  it.each([
    { place: "the core", isThere: isCore, allowed: /^(effect|@effect\/sql)\// },
    {
      place: "node/ and testing/",
      isThere: (file: string) => /^(node|testing)$/.test(insideLibrary(file)[0] ?? ""),
      allowed: /^(node:|better-sqlite3$|effect\/|@effect\/(platform|platform-node|sql|sql-sqlite-node|experimental)\/)/
    },
    {
      place: "host/",
      isThere: (file: string) => insideLibrary(file)[0] === "host",
      allowed: /^(node:|effect\/|@effect\/sql\/|fastify$|fastify-plugin$)/
    }
  ])("lets $place depend on its few packages and on nothing else", ({ allowed, isThere }) => {
    const strays = ({ from, to }: Edge): boolean => isThere(from) && !to.startsWith(library) && !allowed.test(to)
    assert.deepStrictEqual(violations(edges, strays), [])
  })
})

describe("architecture of the apps", () => {
  const features = ["accounts", "machines", "sessions", "messages", "changes", "usage", "rpc", "health"]

  const appOf = (file: string): string | undefined => /^apps\/([^/]+)\//.exec(file)?.[1]

  const featureOf = (file: string): string | undefined =>
    features.find((feature) => file.startsWith(`${server}/${feature}/`))

  it("keeps the apps apart", () => {
    const apps = [...new Set(filesBelow("apps").map(appOf))]
    const reachesOver = ({ from, to }: Edge): boolean => {
      const target = appOf(to) ?? apps.find((app) => to === app || to.startsWith(`${app}/`))
      return target !== undefined && target !== appOf(from)
    }
    assert.deepStrictEqual(violations([...edgesBelow("apps"), ...edgesBelow("packages")], reachesOver), [])
  })

  it("lets the apps see the library through its exports only", () => {
    const pries = ({ to }: Edge): boolean => to.startsWith("packages/") || to.startsWith("presence-effect/internal/")
    assert.deepStrictEqual(violations(edgesBelow("apps"), pries), [])
  })

  it("keeps the features of the light server apart: they meet in LightServer.ts", () => {
    const crosses = ({ from, to }: Edge): boolean =>
      featureOf(from) !== undefined && featureOf(to) !== undefined && featureOf(from) !== featureOf(to)
    assert.deepStrictEqual(violations(edgesBelow(server), crosses), [])
  })
})

describe("architecture of the database folder", () => {
  /** What measures the incident needs the incident's client. Nothing that is shipped runs one. */
  const isComparator = (file: string): boolean =>
    /^apps\/contention-lab\/(src\/engines|prisma-client)\//.test(file) ||
    file.startsWith("packages/presence-effect/bench/")

  it("lets nobody import prisma/ or a client of Prisma, besides what compares with it", () => {
    const everything = ["packages", "apps", "scripts", "test"].flatMap(edgesBelow)
    const isClient = (target: string): boolean =>
      /^(prisma(\/|$)|\.prisma\/|@prisma\/)/.test(target) || target.includes("/prisma-client/")
    assert.deepStrictEqual(
      violations(everything, ({ from, to }) => isClient(to) && !isComparator(from)),
      []
    )
  })
})
