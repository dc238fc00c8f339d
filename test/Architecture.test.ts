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
  ["writer/Lane", "writer/Durability", "writer/DatabaseName", "presence/PresenceKey"],
  [
    "writer/WriterError",
    "writer/WriterMetrics",
    "presence/PresenceKind",
    "presence/Heartbeat",
    "presence/PresenceMetrics"
  ],
  ["writer/WriterPolicy", "writer/HttpFailure", "writer/Write", "presence/FlushBatch", "sqlite/SqliteMetrics"],
  ["writer/Engine", "writer/LaneSemaphore", "presence/PresenceRegistry", "presence/Replica"],
  ["writer/SqliteConnection"],
  ["writer/SqliteWriter", "sqlite/SqliteFault"],
  ["writer/Writer", "presence/PresenceStorage"],
  ["sqlite/SqlitePresenceStorage"],
  [
    "presence/PresenceFlusher",
    "presence/OfflineSweeper",
    "sqlite/WalKeeper",
    "sqlite/Compactor",
    "sqlite/PresenceTables"
  ],
  ["presence/PresenceConfig"],
  ["Presence"],
  ["index"]
]

/** The rooms of the house, and which other rooms each may import. The writer can be used without presence. */
const neighbours: Readonly<Record<string, ReadonlyArray<string>>> = {
  internal: [],
  writer: ["internal"],
  presence: ["internal", "writer"],
  sqlite: ["internal", "writer", "presence"]
}

/** These stand beside the house: they may import it, it never imports them. */
const outbuildings: ReadonlySet<string> = new Set(["node", "postgres", "mysql", "host", "testing"])

const edges = edgesBelow(library)

/** `["writer", "Lane.ts"]` for a file of the library, nothing for all others. */
const insideLibrary = (file: string): ReadonlyArray<string> =>
  file.startsWith(`${library}/`) ? file.slice(library.length + 1).split("/") : []

const roomOf = (file: string): string | undefined => {
  const parts = insideLibrary(file)
  return parts.length > 1 ? parts[0] : undefined
}

const isOutbuilding = (file: string): boolean => outbuildings.has(roomOf(file) ?? "")

const isCore = (file: string): boolean => insideLibrary(file).length > 0 && !isOutbuilding(file)

const isInternal = (file: string): boolean => isCore(file) && insideLibrary(file).includes("internal")

/** `writer/Lane` for a public module of the house. */
const publicModule = (file: string): string | undefined =>
  isCore(file) && !isInternal(file) ? insideLibrary(file).join("/").replace(/\.ts$/, "") : undefined

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

  it("has the rooms that are drawn, and no others", () => {
    const rooms = new Set(filesBelow(library).flatMap((file) => roomOf(file) ?? []))
    assert.sameMembers([...rooms], [...Object.keys(neighbours), ...outbuildings])
  })

  it("imports downwards only", () => {
    const climbs = ({ from, to }: Edge): boolean => floorOf(from) >= 0 && heightOf(to) >= floorOf(from)
    assert.deepStrictEqual(violations(edges, climbs), [])
  })

  it("lets each room import its neighbours only: the writer never imports presence", () => {
    const strays = ({ from, to }: Edge): boolean => {
      const allowed = neighbours[roomOf(from) ?? ""]
      const target = roomOf(to)
      return allowed !== undefined && isCore(to) && target !== roomOf(from) && !allowed.includes(target ?? "")
    }
    assert.deepStrictEqual(violations(edges, strays), [])
  })

  it("keeps what is internal to a room inside it", () => {
    const pries = ({ from, to }: Edge): boolean =>
      isInternal(to) && roomOf(to) !== "internal" && isCore(from) && roomOf(from) !== roomOf(to)
    assert.deepStrictEqual(violations(edges, pries), [])
  })

  it("keeps the house free of what stands beside it", () => {
    assert.deepStrictEqual(
      violations(edges, ({ from, to }) => isCore(from) && isOutbuilding(to)),
      []
    )
  })

  it("keeps simulations out of what runs in production", () => {
    const borrows = ({ from, to }: Edge): boolean => roomOf(from) !== "testing" && roomOf(to) === "testing"
    assert.deepStrictEqual(violations(edges, borrows), [])
  })

  it("stays inside its own folder", () => {
    const escapes = ({ to }: Edge): boolean =>
      /^(packages|apps|prisma|test|scripts)\//.test(to) && !to.startsWith(library)
    assert.deepStrictEqual(violations(edges, escapes), [])
  })

  it.each([
    { place: "the core", isThere: isCore, allowed: /^effect\// },
    {
      place: "node/ and testing/",
      isThere: (file: string) => /^(node|testing)$/.test(roomOf(file) ?? ""),
      allowed: /^(node:|better-sqlite3$|effect\/|@effect\/(platform|sql|sql-sqlite-node|experimental)\/)/
    },
    {
      place: "postgres/ and mysql/",
      isThere: (file: string) => /^(postgres|mysql)$/.test(roomOf(file) ?? ""),
      allowed: /^(node:tls$|pg$|mysql2\/promise$|effect\/)/
    },
    {
      place: "host/",
      isThere: (file: string) => roomOf(file) === "host",
      allowed: /^(node:|effect\/|@effect\/sql\/|fastify$|fastify-plugin$|prom-client$)/
    }
  ])("lets $place depend on its few packages and on nothing else", ({ allowed, isThere }) => {
    const strays = ({ from, to }: Edge): boolean => isThere(from) && !to.startsWith(library) && !allowed.test(to)
    assert.deepStrictEqual(violations(edges, strays), [])
  })
})

describe("architecture of the light server", () => {
  /** The rooms in which features are. They meet in LightServer.ts. */
  const features = [
    "accounts",
    "machines",
    "sessions",
    "messages",
    "changes",
    "usage",
    "rpc",
    "health",
    "artifacts",
    "kv",
    "accesskeys",
    "push",
    "connect",
    "social"
  ]

  /**
   * Bottom first. A name without a dot is a room, any other one a file beside the rooms. A file imports from its own
   * room and from lower floors; rooms of one floor never import each other.
   */
  const storeys: ReadonlyArray<ReadonlyArray<string>> = [
    [
      "FinalizerLimit.ts",
      "LogLevels.ts",
      "Version.ts",
      "Tally.ts",
      "FreedBytes.ts",
      "ConfigKnob.ts",
      "Failure.ts",
      "LruCache.ts",
      "PostgresAddress.ts",
      "SoundValue.ts",
      "SystemCode.ts"
    ],
    ["ShutdownBudget.ts"],
    ["log", "migration", "replicas", "tracing"],
    ["opening"],
    ["database"],
    ["postgres"],
    ["adoption"],
    ["quota"],
    ["entities", "door"],
    ["http"],
    ["realtime"],
    features,
    ["status"],
    ["operator"],
    ["admin"],
    ["config"],
    ["MetricSeries.ts"],
    ["ServerDatabase.ts"],
    ["LightServer.ts"],
    ["ExitCode.ts"],
    ["cli"],
    ["main.ts"]
  ]

  /** The room of a file of the server, or the file itself if it is in none. */
  const roomIn = (file: string): string | undefined =>
    file.startsWith(`${server}/`) ? file.slice(server.length + 1).split("/")[0] : undefined

  const storeyOf = (file: string): number => storeys.findIndex((rooms) => rooms.includes(roomIn(file) ?? ""))

  it("gives every file a room, and every room a file", () => {
    const rooms = new Set(filesBelow(server).map((file) => roomIn(file) ?? file))
    assert.sameMembers([...rooms], storeys.flat())
  })

  it("imports downwards only, and never from another room of the same floor", () => {
    const climbs = ({ from, to }: Edge): boolean =>
      roomIn(to) !== undefined && roomIn(from) !== roomIn(to) && storeyOf(to) >= storeyOf(from)
    assert.deepStrictEqual(violations(edgesBelow(server), climbs), [])
  })

  it("names the features that LightServer.ts builds", () => {
    const built = edgesBelow(server).flatMap(({ from, to }) =>
      from === `${server}/LightServer.ts` && features.includes(roomIn(to) ?? "") ? [roomIn(to)] : []
    )
    assert.sameMembers([...new Set(built)], features)
  })
})

describe("architecture of the apps", () => {
  const appOf = (file: string): string | undefined => /^apps\/([^/]+)\//.exec(file)?.[1]

  it("keeps the apps apart", () => {
    const apps = [...new Set(filesBelow("apps").map(appOf))]
    const reachesOver = ({ from, to }: Edge): boolean => {
      const target = appOf(to) ?? apps.find((app) => to === app || to.startsWith(`${app}/`))
      return target !== undefined && target !== appOf(from)
    }
    const ordinary = ({ from }: Edge): boolean => appOf(from) !== "proving" && !from.includes("/test/")
    const all = [...edgesBelow("apps"), ...edgesBelow("packages")]
    assert.deepStrictEqual(violations(all.filter(ordinary), reachesOver), [])
  })

  it("allows no import from the test folder of another workspace", () => {
    const workspaceOf = (file: string): string | undefined => /^(?:apps|packages)\/[^/]+\//.exec(file)?.[0]
    const pries = ({ from, to }: Edge): boolean =>
      /\/test\//.test(to) && workspaceOf(to) !== undefined && workspaceOf(to) !== workspaceOf(from)
    assert.deepStrictEqual(violations(["apps", "packages", "scripts"].flatMap(edgesBelow), pries), [])
  })

  it("lets the apps see the library through its exports only", () => {
    const pries = ({ to }: Edge): boolean => to.startsWith("packages/") || /^presence-effect\/.*\binternal\//.test(to)
    assert.deepStrictEqual(violations(edgesBelow("apps"), pries), [])
  })
})

describe("architecture of the database folder", () => {
  /** What measures the incident needs the incident's client. Nothing that is shipped runs one. */
  const isComparator = (file: string): boolean =>
    /^apps\/contention-lab\/(src\/engines\/|test\/PrismaClient)/.test(file) ||
    file.startsWith("apps/proving/src/bench/")

  it("allows no import of prisma/ or a client of Prisma, except in comparisons with it", () => {
    const everything = ["packages", "apps", "scripts", "test"].flatMap(edgesBelow)
    const isClient = (target: string): boolean =>
      /^(prisma(\/|$)|\.prisma\/|@prisma\/)/.test(target) || target.includes("/prisma-client/")
    assert.deepStrictEqual(
      violations(everything, ({ from, to }) => isClient(to) && !isComparator(from)),
      []
    )
  })
})
