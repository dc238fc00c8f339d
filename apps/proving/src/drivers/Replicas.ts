/** Several built servers over one PostgreSQL schema and one Redis, with a balancer in front that clients connect to. */
import { Effect, type Scope } from "effect"
import { randomBytes } from "node:crypto"
import net from "node:net"
import * as BuiltServer from "./BuiltServer.ts"
import * as ServerDatabase from "./ServerDatabase.ts"

export interface Balancer {
  readonly url: string
  /** Sends new connections elsewhere. Those that are open stay. */
  readonly drain: (server: BuiltServer.Server) => void
  readonly admit: (server: BuiltServer.Server) => void
  /** Breaks the connections that are open to a server. */
  readonly cut: (server: BuiltServer.Server) => void
}

/** New connections go to the servers in turn. One that does not accept a connection is passed over. */
export const balancer = (servers: ReadonlyArray<BuiltServer.Server>): Effect.Effect<Balancer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const port = yield* BuiltServer.freePort
    const drained = new Set<BuiltServer.Server>()
    const open = new Set<net.Socket>()
    const serverOf = new Map<net.Socket, BuiltServer.Server>()
    let turn = 0
    const join = (client: net.Socket, left: number): void => {
      const admitted = servers.filter((server) => !drained.has(server))
      const server = admitted[turn++ % Math.max(1, admitted.length)]
      if (server === undefined || left === 0) return void client.destroy()
      const upstream = net.connect(Number(new URL(server.url).port), "127.0.0.1")
      let isConnected = false
      upstream.once("connect", () => {
        isConnected = true
        serverOf.set(client, server)
        client.pipe(upstream).pipe(client)
      })
      // A server that is gone: the next one takes the connection, which has not sent anything yet.
      upstream.on("error", () => (isConnected ? client.destroy() : join(client, left - 1)))
      upstream.on("close", () => isConnected && client.destroy())
      client.on("close", () => upstream.destroy())
    }
    const listener = net.createServer({ pauseOnConnect: true }, (client) => {
      open.add(client)
      client.on("error", () => client.destroy())
      client.on("close", () => {
        open.delete(client)
        serverOf.delete(client)
      })
      join(client, servers.length)
      client.resume()
    })
    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => void listener.listen(port, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.async<void>((resume) => {
          for (const client of open) client.destroy()
          listener.close(() => resume(Effect.void))
        })
    )
    return {
      url: `http://127.0.0.1:${port}`,
      drain: (server) => void drained.add(server),
      admit: (server) => void drained.delete(server),
      cut: (server) => {
        for (const client of open) if (serverOf.get(client) === server) client.destroy()
      }
    }
  })

export interface Replicas {
  readonly servers: ReadonlyArray<BuiltServer.Server>
  readonly database: ServerDatabase.ServerDatabase
  readonly balancer: Balancer
}

export interface Options {
  readonly count: number
  readonly postgresUrl: string
  readonly redisUrl: string
  readonly environment?: Readonly<Record<string, string>>
  /** What one of them has besides, by its number from zero. */
  readonly environmentOf?: (index: number, databaseUrl: string) => Readonly<Record<string, string>>
}

/** They have one secret, as they must. All are ready. */
export const start = ({
  count,
  environment = {},
  environmentOf = () => ({}),
  postgresUrl,
  redisUrl
}: Options): Effect.Effect<Replicas, never, Scope.Scope> =>
  Effect.gen(function* () {
    const database = yield* ServerDatabase.ofPostgres(postgresUrl)
    const url = database.environment["DATABASE_URL"] ?? ""
    const secret = randomBytes(32).toString("base64url")
    const servers = yield* Effect.all(
      Array.from({ length: count }, (_, index) =>
        BuiltServer.make(
          { REDIS_URL: redisUrl, HANDY_MASTER_SECRET: secret, ...environment, ...environmentOf(index, url) },
          { database }
        )
      )
    )
    yield* Effect.forEach(servers, ({ start }) => start, { concurrency: "unbounded" })
    return { servers, database, balancer: yield* balancer(servers) }
  })
