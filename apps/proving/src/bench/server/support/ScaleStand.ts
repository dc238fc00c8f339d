/** What S5 compares: one server on a file, and replicas over one database, each with the same account and sessions. */
import { Effect, type Scope } from "effect"
import type { Socket } from "socket.io-client"
import * as Client from "../../../drivers/AccountClient.ts"
import * as Replicas from "../../../drivers/Replicas.ts"
import type { Services } from "../../Services.ts"
import * as Daemon from "./Daemon.ts"
import * as ReplicaSessions from "./ReplicaSessions.ts"
import * as ServerProcess from "./ServerProcess.ts"

export interface ScaleStand {
  readonly name: string
  readonly pids: ReadonlyArray<number>
  /** One for each server: a new machine. */
  readonly register: ReadonlyArray<() => Promise<void>>
  /** The same number whatever the number of servers, spread over them. Each beats its own sessions. */
  readonly agents: ReadonlyArray<{ readonly socket: Socket; readonly ids: ReadonlyArray<string> }>
}

const agentCount = 6

interface Terms {
  readonly name: string
  readonly pids: ReadonlyArray<number>
  readonly daemons: ReadonlyArray<Daemon.Daemon>
  readonly ids: ReadonlyArray<string>
}

const standOf = async ({ daemons, ids, name, pids }: Terms): Promise<ScaleStand> => {
  const agents: Array<ScaleStand["agents"][number]> = []
  for (let agent = 0; agent < agentCount; agent++) {
    const mine = ids.filter((_, index) => index % agentCount === agent)
    const daemon = daemons[agent % daemons.length]
    const socket = await daemon?.connect(mine[0] ?? "")
    if (socket !== undefined) agents.push({ socket, ids: mine })
  }
  return { name, pids, register: daemons.map(({ register }) => register), agents }
}

const environment = ServerProcess.unlimited

export const onFile = (sessionCount: number): Effect.Effect<ScaleStand, never, Scope.Scope> =>
  Effect.gen(function* () {
    const account = Client.make()
    const seeded = Effect.promise(async () => {
      const before = await ServerProcess.start()
      const { accountId } = await Daemon.login(before.url, account)
      await before.stop()
      const ids = ServerProcess.seedSessions(before.directory, accountId, sessionCount)
      return { ids, server: await ServerProcess.start({ directory: before.directory }) }
    })
    const { ids, server } = yield* Effect.acquireRelease(seeded, ({ server }) => Effect.promise(server.stop))
    return yield* Effect.promise(async () => {
      const daemons = [await Daemon.login(server.url, account)]
      return standOf({ name: "file", pids: [server.pid], daemons, ids })
    })
  })

export const ofReplicas = (
  services: Services,
  count: number,
  sessionCount: number
): Effect.Effect<ScaleStand, never, Scope.Scope> =>
  Effect.gen(function* () {
    const account = Client.make()
    const { database, servers } = yield* Replicas.start({ ...services, count, environment })
    const pids = yield* Effect.all(servers.map(({ pid }) => pid))
    const daemons = yield* Effect.forEach(servers, ({ url }) => Effect.promise(() => Daemon.login(url, account)))
    const ids = yield* ReplicaSessions.seed(database, daemons[0]?.accountId ?? "", sessionCount)
    const name = count === 1 ? "1 replica" : `${count} replicas`
    return yield* Effect.promise(() => standOf({ name, pids, daemons, ids }))
  })
