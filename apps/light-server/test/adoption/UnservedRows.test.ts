import { assert, describe, it } from "@effect/vitest"
import { Effect, HashMap, Logger, Option } from "effect"
import * as FixtureBox from "proving/fixtures/FixtureBox"

/** Kinds and counts in the warnings of an adoption. */
const warnings = (box: FixtureBox.FixtureBox) =>
  Effect.gen(function* () {
    const noted: Array<readonly [kind: unknown, rows: unknown, message: string]> = []
    const note = Logger.make(({ annotations, message }) => {
      const of = (name: string) => Option.getOrUndefined(HashMap.get(annotations, name))
      if (of("code") === "ROWS_NOT_SERVED") noted.push([of("kind"), of("rows"), String(message)])
    })
    yield* box.adopt().pipe(Effect.provide(Logger.replace(Logger.defaultLogger, note)))
    return noted
  })

const kinds = (box: FixtureBox.FixtureBox) =>
  Effect.map(warnings(box), (noted) => noted.map(([kind, rows]) => `${String(rows)} ${String(kind)}`))

describe("UnservedRows", () => {
  it.scoped("are reported once per kind with their count, when a file is adopted and not later", () =>
    Effect.gen(function* () {
      const box = yield* FixtureBox.make("iso-text")
      box.exec(`UPDATE Session SET encryptionMode = 'plain'; UPDATE Account SET encryptionMode = 'plain';
        DELETE FROM SessionShare; UPDATE Account SET publicKey = 'a' || rowid WHERE publicKey IS NULL;
        CREATE TABLE SessionPendingMessage (id TEXT PRIMARY KEY, sessionId TEXT);
        INSERT INTO SessionPendingMessage VALUES ('p1', 's1'), ('p2', 's1'), ('p3', 's1');
        CREATE TABLE Automation (id TEXT PRIMARY KEY)`)
      const [sessions, accounts] = ["Session", "Account"].map((table) => box.all(`SELECT 1 FROM ${table}`).length)
      const found = yield* warnings(box)
      assert.deepStrictEqual(
        found.map(([kind, rows]) => `${String(rows)} ${String(kind)}`),
        [
          `${sessions} sessions without encryption`,
          `${accounts} accounts without encryption`,
          "3 rows of SessionPendingMessage"
        ]
      )
      assert.strictEqual(found.at(-1)?.[2], "Not served from the adopted database: rows of SessionPendingMessage (3)")
      assert.deepStrictEqual(yield* kinds(box), [])
    })
  )

  it.scoped("count accounts without a key", () =>
    Effect.gen(function* () {
      const box = yield* FixtureBox.make("iso-text")
      box.exec(`DELETE FROM SessionShare; UPDATE Session SET encryptionMode = 'e2ee';
        UPDATE Account SET publicKey = NULL WHERE id = 'a1'`)
      const missing = box.all("SELECT 1 FROM Account WHERE publicKey IS NULL").length
      assert.deepStrictEqual(yield* kinds(box), [`${missing} accounts without a key, which cannot log in`])
    })
  )

  it.scoped("are not reported for a file whose tables are all served", () =>
    Effect.gen(function* () {
      const box = yield* FixtureBox.make("integers")
      box.exec(`DELETE FROM SessionShare; INSERT INTO SimpleCache (key, value, updatedAt) VALUES ('k', 'v', 1)`)
      assert.deepStrictEqual(yield* kinds(box), [])
    })
  )
})
