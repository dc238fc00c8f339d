/** What the operator can ask of the running server, and do to it. */
import { Effect, Either, type Layer, Option, Schema } from "effect"
import type { FastifyInstance } from "fastify"
import path from "node:path"
import { Devices } from "../accounts/Devices.ts"
import { InvalidInput, NotFound } from "../Failure.ts"
import { LogThreshold } from "../log/LogThreshold.ts"
import { AccountDirectory } from "./AccountDirectory.ts"
import { AccountRemoval } from "./AccountRemoval.ts"
import { AccountSwitch } from "./AccountSwitch.ts"
import * as AdminProtocol from "./AdminProtocol.ts"
import * as AdminSocket from "./AdminSocket.ts"
import { ServerStatus } from "./ServerStatus.ts"
import { SpaceRecovery } from "./SpaceRecovery.ts"

interface OfAccount {
  Params: { readonly id: string; readonly device: string }
}

const decodeLevel = Schema.decodeUnknownEither(AdminProtocol.LogLevel)

const logLevelRoutes = Effect.map(
  Effect.serviceOption(LogThreshold),
  (threshold) => (app: FastifyInstance, answer: AdminSocket.Answer) => {
    const found = Option.match(threshold, {
      onNone: () => Effect.fail(new NotFound({ what: "Log" })),
      onSome: Effect.succeed
    })
    const read = Effect.flatMap(found, ({ get }) => Effect.map(get, (level) => ({ level })))
    app.get("/v1/log-level", (_, reply) => answer(reply, read))
    app.put("/v1/log-level", ({ body }, reply) =>
      answer(
        reply,
        Either.match(decodeLevel(body), {
          onLeft: () => Effect.fail(new InvalidInput({ error: "the level is not known" })),
          onRight: ({ level }) =>
            Effect.zipRight(
              Effect.flatMap(found, ({ set }) => set(level)),
              read
            )
        })
      )
    )
  }
)

const routes = Effect.gen(function* () {
  const status = yield* ServerStatus
  const accounts = yield* AccountDirectory
  const removal = yield* AccountRemoval
  const accountSwitch = yield* AccountSwitch
  const devices = yield* Devices
  const space = yield* SpaceRecovery
  const addLogLevel = yield* logLevelRoutes
  return (app: FastifyInstance, answer: AdminSocket.Answer) => {
    app.get("/v1/status", (_, reply) => answer(reply, status.read))
    app.get("/v1/accounts", (_, reply) => answer(reply, accounts.list))
    app.get<OfAccount>("/v1/accounts/:id", ({ params }, reply) => answer(reply, accounts.show(params.id)))
    app.delete<OfAccount>("/v1/accounts/:id", ({ params }, reply) => answer(reply, removal.remove(params.id)))
    app.put<OfAccount>("/v1/accounts/:id/disablement", ({ params }, reply) =>
      answer(reply, accountSwitch.disable(params.id))
    )
    app.delete<OfAccount>("/v1/accounts/:id/disablement", ({ params }, reply) =>
      answer(reply, accountSwitch.enable(params.id))
    )
    app.get<OfAccount>("/v1/accounts/:id/devices", ({ params }, reply) => answer(reply, accounts.devices(params.id)))
    app.delete<OfAccount>("/v1/accounts/:id/devices/:device", ({ params }, reply) =>
      answer(reply, Effect.as(devices.revoke(params.id, params.device), {}))
    )
    app.post("/v1/compaction", (_, reply) => answer(reply, space.run))
    addLogLevel(app, answer)
  }
})

/** Serves the socket in the data directory. */
export const layer = (options: {
  readonly dataDirectory: string
}): Layer.Layer<
  never,
  never,
  ServerStatus | AccountDirectory | AccountRemoval | AccountSwitch | Devices | SpaceRecovery
> => AdminSocket.layer({ path: path.join(options.dataDirectory, AdminProtocol.socketName), routes })
