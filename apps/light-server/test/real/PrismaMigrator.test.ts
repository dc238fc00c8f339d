/** Processes that migrate one file together, or are killed while they do. */
import * as FileSystem from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect, Option } from "effect"
import * as MigrationBox from "../migration/MigrationBox.ts"

describe("PrismaMigrator", () => {
  it.scoped("takes each migration once when two start together", () =>
    Effect.gen(function* () {
      const box = yield* MigrationBox.family
      const names = ["2_b", "3_c", "4_d", "5_e"]
      for (const name of names) box.addMigration(name, `CREATE TABLE "${name}" ("id" TEXT)`)
      const holder = new Sqlite(box.filename)
      holder.exec("BEGIN IMMEDIATE")
      const processes = [MigrationBox.spawn(box), MigrationBox.spawn(box)]
      yield* Effect.promise(() => Promise.all(processes.map(({ ready }) => ready)))
      holder.close()
      const answers = yield* Effect.promise(() => Promise.all(processes.map(({ ended }) => ended)))
      const applied = answers.flatMap((answer) => (JSON.parse(answer) as { applied: Array<string> }).applied)
      assert.deepStrictEqual(applied.toSorted(), names)
      assert.deepStrictEqual(box.recordedNames(), ["1_create_parent", ...names])
      // One for each process that applied something: they may take turns.
      assert.include([1, 2], box.backups().length)
    })
  )

  describe("a process that is killed", () => {
    const count = (to: number) =>
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${to}) SELECT i FROM n`
    // More pages than the cache holds, so that SQLite overwrites the file before it commits.
    const grow = `INSERT INTO "Parent" SELECT 'q' || i, printf('%.1000c', 'a') FROM (${count(24_000)})`
    const rewrite = `UPDATE "Parent" SET "name" = printf('%.1000c', 'b') WHERE "id" <> 'p1';`
    /** It does not come to its end: the process is killed before, however late that is noticed. */
    const endless = `${rewrite} CREATE TABLE "Late" AS SELECT count(*) AS "rows" FROM (${count(1_000_000_000)});`

    const names = (box: MigrationBox.MigrationBox, path = box.filename) =>
      box.all(
        `SELECT substr("name", 1, 1) AS "name", count(*) AS "rows" FROM "Parent" WHERE "id" <> 'p1' GROUP BY 1`,
        path
      )

    for (const [moment, name] of [
      ["before it overwrites the file", "light.sqlite-journal"],
      ["while it overwrites the file", "light.sqlite"]
    ] as const) {
      it.scoped(`leaves nothing of a migration when it dies ${moment}`, () =>
        Effect.gen(function* () {
          const box = yield* MigrationBox.family
          box.withSqlite((sqlite) => sqlite.exec(grow))
          box.addMigration("2_rewrite", endless)
          const bytes = box.bytes()
          const migrator = MigrationBox.spawn(box)
          yield* Effect.addFinalizer(() => Effect.sync(migrator.kill))
          const journal = `${box.filename}-journal`
          // The short transactions before the migration have a journal as well, and it is gone when they commit.
          const isOpen = () => (FileSystem.statSync(journal, { throwIfNoEntry: false })?.size ?? 0) > 65_536
          const watcher = FileSystem.watch(box.dir, (_, changed) => changed === name && isOpen() && migrator.kill())
          yield* Effect.promise(() => migrator.ended)
          watcher.close()
          assert.isTrue(FileSystem.existsSync(journal))
          if (name === "light.sqlite") assert.notStrictEqual(box.bytes(), bytes)

          box.addMigration("2_rewrite", rewrite)
          const report = yield* box.migrate()
          assert.deepStrictEqual(report.applied, ["2_rewrite"])
          assert.deepStrictEqual(box.recordedNames(), ["1_create_parent", "2_rewrite"])
          assert.deepStrictEqual(names(box), [{ name: "b", rows: 24_000 }])
          assert.deepStrictEqual(box.all("PRAGMA integrity_check"), [{ integrity_check: "ok" }])
          // The second run copied the file as the first one had left it.
          const backup = Option.getOrThrow(report.backup)
          assert.deepStrictEqual(names(box, backup), [{ name: "a", rows: 24_000 }])
          assert.deepStrictEqual(box.recordedNames(backup), ["1_create_parent"])
        })
      )
    }
  })
})
