/**
 * Goal: nothing that an account can fill is forgotten.
 * Method: every table of the migrations counts for the quota or stands in the list below with the reason why not, and
 * every file that takes the writer itself writes what no quota is on.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as ServerSchema from "../../src/adoption/ServerSchema.ts"
import * as MigrationFolder from "../../src/migration/MigrationFolder.ts"
import * as CountedTable from "../../src/quota/CountedTable.ts"

const schema = Effect.flatMap(MigrationFolder.read(MigrationFolder.bundledDir), (migrations) =>
  ServerSchema.read(MigrationFolder.bundledDir, migrations)
)

const uncounted: { readonly [table: string]: string } = {
  AccountAuthRequest: "bounded in number for all accounts together",
  AccountChange: "bounded in number for each account",
  PresenceAccountDisablement: "one row for each account",
  PresenceAccountUsage: "one row for each account",
  PresenceMachineRevocation: "one row for each machine",
  PresenceSessionArchive: "one row for each session",
  ServerHeartbeat: "one row",
  TerminalAuthRequest: "bounded in number for all accounts together",
  TokenRevocation: "one row for each account"
}

/** Texts of a bounded length, and those of an account that nothing writes. */
const short = new Set(
  `id accountId sessionId machineId vendor digest publicKey username githubUserId contentPublicKey contentPublicKeySig
    firstName lastName avatar`.split(/\s+/)
)

/** Files that write for no account, or what ends something of one, or that only ask for the state of the writer. */
const unlimited = new Set([
  "accounts/AccountStore.ts",
  "accounts/Devices.ts",
  "accounts/PairingStore.ts",
  "accounts/TokenRevocation.ts",
  "admin/AccountRemoval.ts",
  "admin/AccountSwitch.ts",
  "admin/ServerStatus.ts",
  "admin/SpaceRecovery.ts",
  "changes/ChangePruner.ts",
  "cli/ServeCommand.ts",
  "health/Readiness.ts",
  "quota/AccountWriter.ts",
  "quota/Quota.ts",
  "quota/Recounts.ts",
  "status/StatusHistory.ts",
  "status/StatusSnapshot.ts"
])

const source = path.resolve(import.meta.dirname, "../../src")

describe("CountedTable", () => {
  it.effect("has every table, or there is a reason why not", () =>
    Effect.gen(function* () {
      const { tables } = yield* schema
      const named = [...CountedTable.tables.map(({ table }) => table), ...Object.keys(uncounted)]
      assert.sameMembers(named, [...tables.keys()])
    })
  )

  it.effect("has every text and blob whose size a client chooses", () =>
    Effect.gen(function* () {
      const { tables } = yield* schema
      for (const { columns, table } of CountedTable.tables) {
        const long = (tables.get(table)?.columns ?? [])
          .filter(({ name, type }) => /TEXT|BLOB|JSON/.test(type) && !short.has(name))
          .map(({ name }) => name)
        assert.sameMembers([...columns], long, table)
      }
    })
  )

  it("limits every store: only what adds nothing of an account takes the writer itself", () => {
    const takers = fs
      .readdirSync(source, { recursive: true, encoding: "utf8" })
      .map((file) => file.replaceAll(path.sep, "/"))
      .filter((file) => file.endsWith(".ts"))
      .filter((file) =>
        /yield\* (Sqlite)?Writer\b|, Writer\)|\(Writer,/.test(fs.readFileSync(path.join(source, file), "utf8"))
      )
    assert.sameMembers(takers, [...unlimited])
  })
})
