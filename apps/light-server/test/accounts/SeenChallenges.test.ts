/** Challenges that come again: as a retry, after a revocation, after a restart. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Option, TestClock } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"
import * as SeenChallenges from "../../src/accounts/SeenChallenges.ts"
import { revokeTokens } from "../../src/accounts/TokenRevocation.ts"
import * as TimeForm from "../../src/database/TimeForm.ts"
import { challengeFile } from "../../src/opening/DataDirectory.ts"
import * as DataDirectories from "../support/DataDirectories.ts"
import * as Database from "../support/TestDatabase.ts"

const key = new Uint8Array(32).fill(171)

/** Adds the account of the key. Other servers store the hex text in upper case. */
const addOwner = (database: Database.TestDatabase["Type"]) => {
  database.addAccount("ada")
  database.sqlite.prepare(`UPDATE "Account" SET "publicKey" = ?`).run("AB".repeat(32))
}

/** A directory, and the service as each start of a server makes it: whether a challenge of one byte is accepted. */
const prepared = Effect.gen(function* () {
  const directory = yield* TemporaryDirectory.make
  const database = yield* Database.TestDatabase
  addOwner(database)
  const start = (options?: SeenChallenges.Options, place = directory) =>
    Effect.map(
      Layer.build(Layer.fresh(SeenChallenges.layer(options)).pipe(Layer.provide(DataDirectories.at(place)))),
      (context) => (byte: number) =>
        Effect.map(
          Context.get(context, SeenChallenges.SeenChallenges).take(key, new Uint8Array(32).fill(byte)),
          Option.isSome
        )
    )
  const revoke = Effect.provideService(revokeTokens("ada"), TimeForm.TimeForm, TimeForm.integer)
  return { database, directory, file: path.join(directory, challengeFile), start, revoke }
})

const layer = Database.layer

describe("SeenChallenges", () => {
  it.scoped("refuses a challenge from before a revocation, and accepts others", () =>
    Effect.gen(function* () {
      const { revoke, start } = yield* prepared
      const take = yield* start()
      assert.isTrue(yield* take(1))
      assert.isTrue(yield* take(1))
      yield* revoke
      assert.isFalse(yield* take(1))
      assert.isTrue(yield* take(2))
      assert.isTrue(yield* take(2))
      yield* revoke
      assert.isFalse(yield* take(2))
    }).pipe(Effect.provide(layer))
  )

  it.scoped("answers with the epoch that the tokens of the account have", () =>
    Effect.gen(function* () {
      const { directory, revoke } = yield* prepared
      const { take } = yield* Effect.map(
        Layer.build(SeenChallenges.layer().pipe(Layer.provide(DataDirectories.at(directory)))),
        (context) => Context.get(context, SeenChallenges.SeenChallenges)
      )
      assert.deepStrictEqual(yield* take(key, Buffer.from("one")), Option.some(0))
      const epoch = yield* revoke
      assert.deepStrictEqual(yield* take(key, Buffer.from("two")), Option.some(epoch))
      assert.deepStrictEqual(yield* take(new Uint8Array(32), Buffer.from("two")), Option.some(0))
    }).pipe(Effect.provide(layer))
  )

  it.scoped("remembers challenges across a restart, as long as their window lasts", () =>
    Effect.gen(function* () {
      const { start } = yield* prepared
      const before = yield* start()
      assert.isTrue(yield* before(1))
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(yield* before(2))
      yield* TestClock.adjust("25 seconds")
      const after = yield* start()
      assert.isFalse(yield* after(1))
      assert.isTrue(yield* after(2), "a retry within its 30 s")
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* (yield* start())(2))
      yield* TestClock.adjust("1 day")
      assert.isTrue(yield* (yield* start())(1))
    }).pipe(Effect.provide(layer))
  )

  it.scoped("refuses after a restart a challenge from before a revocation that happened meanwhile", () =>
    Effect.gen(function* () {
      const { revoke, start } = yield* prepared
      assert.isTrue(yield* (yield* start())(1))
      yield* revoke
      assert.isFalse(yield* (yield* start())(1))
    }).pipe(Effect.provide(layer))
  )

  it.scoped("accepts no challenge again when the clock was set back", () =>
    Effect.gen(function* () {
      const { start } = yield* prepared
      yield* TestClock.adjust("1 hour")
      const take = yield* start()
      assert.isTrue(yield* take(1))
      yield* TestClock.setTime(0)
      assert.isFalse(yield* take(1))
      assert.isFalse(yield* (yield* start())(1))
    }).pipe(Effect.provide(layer))
  )

  it.scoped("keeps digests in a file of its owner alone, and skips lines that were cut off", () =>
    Effect.gen(function* () {
      const { file, start } = yield* prepared
      const take = yield* start()
      assert.isFalse(fs.existsSync(file))
      yield* take(1)
      assert.strictEqual(fs.statSync(file).mode & 0o777, 0o600)
      assert.match(fs.readFileSync(file, "utf8"), /^\n0 0 [A-Za-z0-9+/]{43}=\n$/)
      fs.appendFileSync(file, "\n12 0 AAAA")
      yield* take(2)
      yield* TestClock.adjust("1 minute")
      const after = yield* start()
      assert.isFalse(yield* after(1))
      assert.isFalse(yield* after(2))
    }).pipe(Effect.provide(layer))
  )

  it.scoped("rewrites the file when it holds twice as many lines as are remembered", () =>
    Effect.gen(function* () {
      const { directory, file, start } = yield* prepared
      const lineCount = () => fs.readFileSync(file, "utf8").split("\n").filter(Boolean).length
      const take = yield* start({ capacity: 3 })
      for (let byte = 0; byte < 6; byte++) yield* take(byte)
      assert.strictEqual(lineCount(), 6)
      yield* take(6)
      assert.strictEqual(lineCount(), 3)
      assert.strictEqual(fs.statSync(file).mode & 0o777, 0o600)
      assert.deepStrictEqual(fs.readdirSync(directory), [challengeFile])
      yield* TestClock.adjust("1 minute")
      const after = yield* start({ capacity: 3 })
      for (const byte of [4, 5, 6]) assert.isFalse(yield* after(byte))
      assert.isTrue(yield* after(3))
    }).pipe(Effect.provide(layer))
  )

  it.scoped("lets logins in and still remembers them when the file cannot be written", () =>
    Effect.gen(function* () {
      const { directory, start } = yield* prepared
      const take = yield* start({}, path.join(directory, "missing"))
      assert.isTrue(yield* take(1))
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* take(1))
    }).pipe(Effect.provide(layer))
  )

  it.scoped("remembers nothing while the account cannot be read", () =>
    Effect.gen(function* () {
      const { database, start } = yield* prepared
      const take = yield* start()
      database.sqlite.exec(`ALTER TABLE "TokenRevocation" RENAME TO "away"`)
      assert.strictEqual((yield* Effect.flip(take(1)))._tag, "ReadFailed")
      database.sqlite.exec(`ALTER TABLE "away" RENAME TO "TokenRevocation"`)
      yield* TestClock.adjust("1 minute")
      assert.isTrue(yield* take(1))
    }).pipe(Effect.provide(layer))
  )
})
