/**
 * Goal: the contract finds an adapter that breaks it.
 * Method: run the suite over adapters that are wrong in one respect each, and look at which cases fail. That right
 * adapters pass is what the tests of `SqliteInProcess` and `SqliteThread` are.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as SqliteInProcess from "../../src/node/SqliteInProcess.ts"
import * as SqliteConnectionContract from "../../src/testing/SqliteConnectionContract.ts"
import type { SqliteConnection } from "../../src/writer/SqliteConnection.ts"

type Connection = SqliteConnection["Type"]

/** Runs the cases whose title matches, and returns those that fail. */
const failing = async (titles: RegExp, harm: (connection: Connection) => Partial<Connection>) => {
  const cases: Array<readonly [title: string, body: () => Promise<void>]> = []
  const runner = {
    describe: (_: string, body: () => void) => body(),
    it: (title: string, body: () => Promise<void>) => cases.push([title, body])
  }
  SqliteConnectionContract.suite(runner, "broken", (filename, options) =>
    Effect.map(SqliteInProcess.make({ filename, ...options }), (connection) => ({ ...connection, ...harm(connection) }))
  )
  const failed: Array<string> = []
  for (const [title, body] of cases.filter(([title]) => titles.test(title))) {
    await body().catch(() => failed.push(title))
  }
  return failed
}

describe("SqliteConnectionContract", () => {
  it("accepts a right adapter", async () => {
    const titles = /commits the statements|rolls the whole write back|puts a group into one commit|exact beyond/
    assert.deepStrictEqual(await failing(titles, () => ({})), [])
  })

  it("finds an adapter that ignores how many rows a statement must change", async () => {
    const careless = ({ run }: Connection): Partial<Connection> => ({
      run: (group, durability) =>
        run(
          group.map((write) => write.map((statement) => ({ ...statement, changes: "any" as const }))),
          durability
        )
    })
    assert.deepStrictEqual(await failing(/rolls the whole write back/, careless), [
      "rolls the whole write back when a statement changes another number of rows than demanded"
    ])
  })

  it("finds an adapter whose writes fail together", async () => {
    const coupled = ({ run }: Connection): Partial<Connection> => ({
      run: (group, durability) => Effect.map(run([group.flat()], durability), ([answer]) => group.map(() => answer!))
    })
    assert.deepStrictEqual(await failing(/puts a group into one commit/, coupled), [
      "puts a group into one commit and lets one that fails take no other with it"
    ])
  })

  it("finds an adapter that does not stop after a final fault", async () => {
    const stopless = ({ run }: Connection): Partial<Connection> => ({
      run: (group, durability) =>
        Effect.mapError(run(group, durability), (fault) => Object.assign(fault, { isFinal: false }))
    })
    assert.deepStrictEqual(await failing(/turned out damaged/, stopless), [
      "writes nothing more into a file that turned out damaged"
    ])
  })
})
