/** Processes that are killed while they adopt a file of another happier light server. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import * as FixtureBox from "proving/fixtures/FixtureBox"
import { tsx } from "proving/drivers/Tsx"

describe("Adoption by a process that is killed", () => {
  const script = fileURLToPath(new URL("adoptProcess.ts", import.meta.url))

  const run = (box: FixtureBox.FixtureBox, additionCount: number) =>
    spawnSync(
      process.execPath,
      ["--conditions=presence-effect-source", "--import", tsx, script, box.filename, String(additionCount)],
      {
        encoding: "utf8"
      }
    )

  const additionCount = Effect.map(
    Effect.flatMap(FixtureBox.make("integers"), FixtureBox.adopted),
    ({ additions }) => additions.length
  )

  it.scoped.each(["DELETE", "WAL"])(
    "leaves nothing of an adoption in journal mode %s, and the next start completes it",
    (journal) =>
      Effect.gen(function* () {
        const count = yield* additionCount
        for (const madeCount of journal === "WAL" ? [count - 1] : [0, count - 1]) {
          const box = yield* FixtureBox.make("integers")
          box.exec(`PRAGMA journal_mode = ${journal}`)
          const before = box.content()
          assert.strictEqual(run(box, madeCount).signal, "SIGKILL")
          assert.deepStrictEqual(box.content(), before)
          assert.strictEqual((yield* FixtureBox.adopted(box)).additions.length, count)
          assert.deepStrictEqual(box.content()["_prisma_migrations"], before["_prisma_migrations"])
        }
      }),
    60_000
  )

  it.scoped("is the only one that fails: the same process succeeds when it is not killed", () =>
    Effect.gen(function* () {
      const count = yield* additionCount
      assert.strictEqual(run(yield* FixtureBox.make("integers"), count).stdout, `${count}\n`)
    })
  )
})
