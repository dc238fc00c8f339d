/**
 * The built server with a logged-in client, sessions, and a load on them: where
 * most scenarios begin.
 */
import { Effect, type Scope } from "effect"
import * as Client from "../../drivers/AccountClient.ts"
import * as BuiltServer from "../../drivers/BuiltServer.ts"
import * as Device from "../../drivers/Device.ts"
import * as Box from "./Box.ts"
import * as LoadGenerator from "./LoadGenerator.ts"

export const tickMillis = 1000

/** What a request of the control plane may take before it is answered, one way or the other. */
export const controlDeadlineMillis = 2000

/**
 * When a registration is answered, one way or the other. A new machine is tried again as long as its daemon waits,
 * which is 10 s with what a busy box adds.
 */
export const registrationLimitMillis = 8500

/** Presence is written often, and no request is refused for its frequency. */
export const environment = {
  HAPPIER_PRESENCE_FLUSH_INTERVAL_MS: String(tickMillis),
  HAPPIER_PRESENCE_PERSIST_THRESHOLD_MS: "0",
  HAPPIER_RATE_LIMIT_AUTH: "0",
  HAPPIER_RATE_LIMIT_OPEN: "0",
  HAPPIER_RATE_LIMIT_CONTROL: "0",
  HAPPIER_RATE_LIMIT_READS: "0"
}

export interface Stage {
  readonly server: BuiltServer.Server
  readonly device: Device.Device
  readonly sessionIds: ReadonlyArray<string>
  /** How its processes ended, where a supervisor starts the next one. */
  readonly ends: ReadonlyArray<number | null>
  /** Puts clients on the sessions, in a process of their own. */
  readonly load: (
    options?: Partial<Omit<LoadGenerator.LoadOptions, "url" | "token">>
  ) => Effect.Effect<LoadGenerator.Load, never, Scope.Scope>
}

export const open = (
  options: {
    readonly environment?: Readonly<Record<string, string>>
    readonly place?: BuiltServer.Place
    readonly sessionCount?: number
    /** Starts the next process a second after one has ended, until the scope closes. */
    readonly isSupervised?: boolean
  } = {}
): Effect.Effect<Stage, never, Scope.Scope> =>
  Effect.gen(function* () {
    const server = yield* BuiltServer.start({ ...environment, ...options.environment }, options.place)
    const device = yield* Device.login(server.url, Client.make())
    const tags = Array.from({ length: options.sessionCount ?? 5 }, (_, index) => `tag-${index}`)
    const sessionIds = yield* Effect.forEach(tags, (tag) => Device.openSession(device, tag), { concurrency: 4 })
    const ends: Array<number | null> = []
    if (options.isSupervised === true) {
      const startAgain = Effect.zipRight(Effect.sleep(1000), server.launch)
      yield* server.ended.pipe(
        Effect.tap(({ code }) => ends.push(code)),
        Effect.zipRight(startAgain),
        Effect.forever,
        Effect.forkScoped
      )
    }
    return {
      server,
      device,
      sessionIds,
      ends,
      load: (load = {}) =>
        LoadGenerator.start({
          registrationsPerSecond: 10,
          messagesPerSecond: 10,
          probesPerSecond: 5,
          beatMillis: 250,
          sessionIds,
          ...load,
          url: server.url,
          token: device.token
        })
    }
  })

/** The worst gap of the event loop that is allowed, on a box that had such gaps before the fault, too. */
export const loopGapLimitMillis = (calm: { readonly loopGapMillis: number }): number =>
  Math.max(Box.stretched(250), 2 * calm.loopGapMillis)

/** Status of the readiness check. */
export const readiness = (server: BuiltServer.Server): Effect.Effect<number> =>
  Effect.match(Device.request(`${server.url}/readyz`), { onFailure: () => 0, onSuccess: ({ status }) => status })
