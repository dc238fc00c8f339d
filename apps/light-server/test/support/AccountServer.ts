/**
 * The server with real accounts, tokens and limits on a free port, over a
 * database and a presence in memory.
 */
import { Effect, Layer } from "effect"
import type { InjectOptions } from "fastify"
import * as AccountRoutes from "../../src/accounts/AccountRoutes.ts"
import * as AccountSettings from "../../src/accounts/AccountSettings.ts"
import * as AccountStore from "../../src/accounts/AccountStore.ts"
import * as AuthRoutes from "../../src/accounts/AuthRoutes.ts"
import * as Login from "../../src/accounts/Login.ts"
import * as Pairing from "../../src/accounts/Pairing.ts"
import * as PairingRoutes from "../../src/accounts/PairingRoutes.ts"
import * as PairingStore from "../../src/accounts/PairingStore.ts"
import * as SeenChallenges from "../../src/accounts/SeenChallenges.ts"
import * as SettingsStore from "../../src/accounts/SettingsStore.ts"
import * as TokenRevocation from "../../src/accounts/TokenRevocation.ts"
import * as Tokens from "../../src/accounts/Tokens.ts"
import * as HttpApp from "../../src/http/HttpApp.ts"
import * as MachineLists from "../../src/machines/MachineLists.ts"
import * as MachineRegistry from "../../src/machines/MachineRegistry.ts"
import * as MachineRoutes from "../../src/machines/MachineRoutes.ts"
import * as MachineStore from "../../src/machines/MachineStore.ts"
import * as Emitter from "../../src/realtime/sending/Emitter.ts"
import * as EventRegistry from "../../src/realtime/events/EventRegistry.ts"
import * as Ownership from "../../src/entities/Ownership.ts"
import * as RealtimeApp from "../../src/realtime/RealtimeApp.ts"
import * as RealtimeOptions from "../../src/realtime/RealtimeOptions.ts"
import * as SocketServer from "../../src/realtime/SocketServer.ts"
import * as Client from "proving/drivers/AccountClient"
import * as DataDirectories from "./DataDirectories.ts"
import * as PresenceProbe from "./PresenceProbe.ts"
import * as TestDatabase from "./TestDatabase.ts"
import * as TestServer from "./TestServer.ts"

export const masterSecret = "a-master-secret-for-these-tests"

const directory = DataDirectories.temporary(masterSecret)

/** No request takes time. */
const still = { nowMillis: () => 0, busyMillis: () => 0 }

interface Options {
  readonly http?: HttpApp.Options
  readonly pairing?: PairingStore.Options
  readonly revocation?: TokenRevocation.Options
}

export const layer = (
  options: Options = {},
  database: typeof TestDatabase.layer = TestDatabase.layer,
  tokens: ReturnType<typeof Tokens.layer> = Tokens.layer()
) => {
  const knobs = RealtimeOptions.defaults
  // Each step of virtual time takes real time, and tests of requests adjust by minutes.
  const revocation = TokenRevocation.layer(options.revocation ?? { watchInterval: "1 hour" })
  const accounts = Layer.mergeAll(AuthRoutes.layer, PairingRoutes.layer, AccountRoutes.layer()).pipe(
    Layer.provideMerge(Layer.mergeAll(Login.layer(), Pairing.layer, AccountSettings.layer, revocation)),
    Layer.provide(Layer.mergeAll(AccountStore.layer, SettingsStore.layer, PairingStore.layer(options.pairing))),
    Layer.provide(SeenChallenges.layer())
  )
  const machines = MachineRoutes.layer({ registerWithin: 0 }).pipe(
    Layer.provide(Layer.merge(MachineRegistry.layer, MachineLists.layer)),
    Layer.provide(MachineStore.layer)
  )
  return TestServer.listening.pipe(
    Layer.provideMerge(RealtimeApp.layer(knobs)),
    Layer.provideMerge(Layer.merge(accounts, machines)),
    Layer.provideMerge(Layer.mergeAll(Emitter.layer(knobs), EventRegistry.layer, Ownership.layer(knobs))),
    Layer.provideMerge(SocketServer.layer(knobs)),
    // The delay of the real loop means nothing on virtual time, and measuring it takes twice as many steps as all else.
    // On a busy box a request may cost more than one point, and tests of limits count requests.
    Layer.provideMerge(HttpApp.layer({ loopDelay: { currentMillis: () => 0 }, costClock: still, ...options.http })),
    Layer.provideMerge(tokens),
    Layer.provideMerge(Layer.mergeAll(database, PresenceProbe.layer, directory))
  )
}

export const inject = (request: InjectOptions) =>
  Effect.flatMap(TestServer.TestServer, (server) => server.inject(request))

const bearer = (token: string | undefined) => (token === undefined ? {} : { authorization: `Bearer ${token}` })

export const post = (url: string, payload: unknown, token?: string) =>
  inject({ method: "POST", url, payload: payload as object, headers: bearer(token) })

export const get = (url: string, token?: string) => inject({ method: "GET", url, headers: bearer(token) })

/** Logs in with a new key, or the one given, and answers with the token and the id of the account. */
export const login = (client = Client.make()) =>
  Effect.gen(function* () {
    const response = yield* post("/v1/auth", client.challenge())
    const { token } = response.json<{ readonly token: string }>()
    const profile = yield* get("/v1/account/profile", token)
    return { client, token, accountId: profile.json<{ readonly id: string }>().id }
  })

/** Resets the record of the lanes that were written to, and the number of reads. */
export const forgetCounts = Effect.map(TestDatabase.TestDatabase, (database) => {
  database.writes.length = 0
  database.readCount = 0
})
