/** `account`: the accounts of the running server. */
import { Clock, Effect } from "effect"
import * as AdminProtocol from "../admin/AdminProtocol.ts"
import * as AskCommand from "./AskCommand.ts"
import * as DeviceText from "./DeviceText.ts"
import * as Quantity from "./Quantity.ts"
import type { AccountAction } from "./Request.ts"
import * as TextTable from "./TextTable.ts"

export interface Options {
  readonly action: AccountAction
  readonly isJson: boolean
}

const listText =
  (nowMillis: number) =>
  ({ accounts, isCut }: typeof AdminProtocol.AccountList.Type): string => {
    const rows = accounts.map((account) => [
      account.id,
      Quantity.time(account.createdAt),
      String(account.machineCount),
      String(account.sessionCount),
      Quantity.ago(account.lastActiveAt, nowMillis),
      account.disabledAt === null ? "" : `disabled ${Quantity.ago(account.disabledAt, nowMillis)}`
    ])
    const table = TextTable.aligned(
      [["account", "created", "machines", "sessions", "last active", ""], ...rows],
      new Set([2, 3])
    )
    return `${[...table, ...(isCut ? [`only the oldest ${accounts.length} are shown`] : [])].join("\n")}\n`
  }

const detailText =
  (nowMillis: number) =>
  (account: AdminProtocol.AccountDetail): string => {
    const rows = [
      ["account", account.id],
      ["key", account.publicKey ?? "none"],
      ["created", Quantity.time(account.createdAt)],
      ["last active", Quantity.ago(account.lastActiveAt, nowMillis)],
      ...(account.disabledAt === null ? [] : [["disabled", Quantity.ago(account.disabledAt, nowMillis)]]),
      ["machines", String(account.machineCount)],
      ["sessions", `${account.sessionCount}, with ${Quantity.count(account.messageCount, "message")}`]
    ]
    return `${TextTable.aligned(rows).join("\n")}\n\n${DeviceText.render(account.devices, nowMillis)}`
  }

const removedText = ({ id, machineCount, sessionCount }: AdminProtocol.AccountRemoved): string =>
  `${id} can no longer be used; ${Quantity.count(sessionCount, "session")} and ` +
  `${Quantity.count(machineCount, "machine")} are being deleted\n`

const turnedText =
  (nowMillis: number) =>
  ({ disabledAt, id, isChanged }: AdminProtocol.AccountTurned): string => {
    if (disabledAt === null)
      return `${id} is enabled${isChanged ? "; its clients come back by themselves" : " already"}\n`
    return isChanged
      ? `${id} is disabled, and its connections are closed\n`
      : `${id} is disabled already, ${Quantity.ago(disabledAt, nowMillis)}\n`
  }

const pathOf = (account: string) => `/v1/accounts/${encodeURIComponent(account)}`

const program = ({ action, isJson }: Options) =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    switch (action._tag) {
      case "List": {
        const list = yield* AskCommand.ask({ method: "GET", path: "/v1/accounts" }, AdminProtocol.AccountList)
        return yield* AskCommand.print(list, isJson, listText(now))
      }
      case "Show": {
        const path = pathOf(action.account)
        const detail = yield* AskCommand.ask({ method: "GET", path }, AdminProtocol.AccountDetail)
        return yield* AskCommand.print(detail, isJson, detailText(now))
      }
      case "Disable":
      case "Enable": {
        const path = `${pathOf(action.account)}/disablement`
        const method = action._tag === "Disable" ? "PUT" : "DELETE"
        const turned = yield* AskCommand.ask({ method, path }, AdminProtocol.AccountTurned)
        return yield* AskCommand.print(turned, isJson, turnedText(now))
      }
      case "Delete": {
        const path = pathOf(action.account)
        const removed = yield* AskCommand.ask({ method: "DELETE", path }, AdminProtocol.AccountRemoved)
        return yield* AskCommand.print(removed, isJson, removedText)
      }
    }
  })

export const run = (options: Options): void => AskCommand.run(program(options))
