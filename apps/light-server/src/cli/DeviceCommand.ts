/** `device`: the devices of an account of the running server. */
import { Clock, Effect, Schema } from "effect"
import * as AdminClient from "../admin/AdminClient.ts"
import * as AdminProtocol from "../admin/AdminProtocol.ts"
import * as AskCommand from "./AskCommand.ts"
import * as DeviceText from "./DeviceText.ts"
import type { DeviceAction } from "./Request.ts"

export interface Options {
  readonly action: DeviceAction
  readonly isJson: boolean
}

/** The one device whose id begins so: whole ids are long. */
const find = ({ devices }: AdminProtocol.DeviceList, prefix: string) => {
  const found = devices.filter(({ id }) => id.startsWith(prefix))
  const [only] = found
  return only !== undefined && found.length === 1
    ? Effect.succeed(only)
    : Effect.fail(
        new AdminClient.AdminRefused({
          status: 404,
          error: `${found.length === 0 ? "no device" : "more than one device"} of the account begins with ${prefix}`
        })
      )
}

const program = ({ action, isJson }: Options) =>
  Effect.gen(function* () {
    const path = `/v1/accounts/${encodeURIComponent(action.account)}/devices`
    const list = yield* AskCommand.ask({ method: "GET", path }, AdminProtocol.DeviceList)
    const now = yield* Clock.currentTimeMillis
    if (action._tag === "List") {
      return yield* AskCommand.print(list, isJson, ({ devices }) => DeviceText.render(devices, now))
    }
    const device = yield* find(list, action.device)
    yield* AskCommand.ask({ method: "DELETE", path: `${path}/${encodeURIComponent(device.id)}` }, Schema.Struct({}))
    yield* AskCommand.print({ id: device.id }, isJson, ({ id }) => `${id} is revoked and its connections are closed\n`)
  })

export const run = (options: Options): void => AskCommand.run(program(options))
