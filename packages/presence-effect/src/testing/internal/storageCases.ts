/** What every storage of presence does, case by case. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { FlushEntry, FlushState } from "../../presence/FlushBatch.ts"
import * as FlushBatch from "../../presence/FlushBatch.ts"
import type { PresenceKey } from "../../presence/PresenceKey.ts"
import { keyOf } from "../../presence/PresenceKind.ts"
import type { StaleCursor } from "../../presence/PresenceStorage.ts"
import { contractCase } from "./contractCase.ts"
import * as assert from "./expect.ts"
import { type CaseWorld, type ContractKind, contractKinds } from "./storageWorld.ts"

/** Sessions and machines in turns. */
const kindOf = (index: number): ContractKind => (index % 2 === 0 ? "session" : "machine")

const hour = 3_600_000
const start = 1_800_000_000_000

/** All times but those before. */
const until = (firstMillis: number) => ({ firstMillis, lastMillis: start + hour })

const entry = (id: string, seenAtMillis: number, state: FlushState, kind: ContractKind = "session"): FlushEntry => ({
  kind,
  id,
  accountId: "a",
  seenAtMillis,
  state
})

const keyed = (
  kind: ContractKind,
  id: string,
  accountId: string,
  rest: Pick<FlushEntry, "seenAtMillis" | "state">
): FlushEntry => ({ ...keyOf(kind, kind === "sensor" ? undefined : accountId, id), ...rest })

/** A storage with the time set to `start`. */
const inWorld = contractCase<CaseWorld>()

export const startMillis = start

export const storageCases = [
  inWorld("raises lastActiveAt and activates both kinds in one flush", (world) =>
    Effect.gen(function* () {
      yield* world.insert("session", "s", "a", { active: false, lastActiveMillis: start - hour })
      yield* world.insert("machine", "m", "a", { active: false, lastActiveMillis: start - hour })
      const batch = FlushBatch.make([entry("s", start, "alive"), entry("m", start - 1, "alive", "machine")])
      const report = yield* world.storage.flush(batch)
      assert.deepStrictEqual(report.written, batch.entries)
      assert.strictEqual(report.chunkCount, 1)
      assert.deepStrictEqual(yield* world.read("session", "s"), { active: true, lastActiveMillis: start })
      assert.deepStrictEqual(yield* world.read("machine", "m"), { active: true, lastActiveMillis: start - 1 })
    })
  ),

  inWorld("never lowers lastActiveAt, whatever the entry says", (world) =>
    Effect.gen(function* () {
      for (const state of ["alive", "ended", "offline"] as const) {
        yield* world.insert("session", state, "a", { active: true, lastActiveMillis: start })
        yield* world.storage.flush(FlushBatch.make([entry(state, start - hour, state)]))
        assert.strictEqual((yield* world.read("session", state))?.lastActiveMillis, start, state)
      }
    })
  ),

  inWorld("keeps an end: a sign of life that is not newer does not activate", (world) =>
    Effect.gen(function* () {
      yield* world.insert("session", "s", "a", { active: true, lastActiveMillis: start - hour })
      yield* world.storage.flush(FlushBatch.make([entry("s", start - 100, "ended")]))
      assert.deepStrictEqual(yield* world.read("session", "s"), { active: false, lastActiveMillis: start - 100 })

      const late = FlushBatch.make([entry("s", start - 100, "alive")])
      const refused = yield* world.storage.flush(late)
      assert.deepStrictEqual(refused.superseded, late.entries)
      assert.strictEqual((yield* world.read("session", "s"))?.active, false)

      yield* world.storage.flush(FlushBatch.make([entry("s", start - 99, "alive")]))
      assert.deepStrictEqual(yield* world.read("session", "s"), { active: true, lastActiveMillis: start - 99 })
    })
  ),

  inWorld("ends a row also when something newer is stored", (world) =>
    Effect.gen(function* () {
      yield* world.insert("session", "s", "a", { active: true, lastActiveMillis: start })
      yield* world.storage.flush(FlushBatch.make([entry("s", start - hour, "ended")]))
      assert.deepStrictEqual(yield* world.read("session", "s"), { active: false, lastActiveMillis: start })
    })
  ),

  inWorld("takes a row offline only when nothing newer than the judged time is stored", (world) =>
    Effect.gen(function* () {
      yield* world.insert("session", "judged", "a", { active: true, lastActiveMillis: start - 5 })
      yield* world.insert("session", "newer", "a", { active: true, lastActiveMillis: start - 4 })
      const judged = entry("judged", start - 5, "offline")
      const newer = entry("newer", start - 5, "offline")
      const report = yield* world.storage.flush(FlushBatch.make([judged, newer]))
      assert.deepStrictEqual(report.written, [judged])
      assert.deepStrictEqual(report.superseded, [{ ...newer, storedMillis: start - 4 }])
      assert.strictEqual((yield* world.read("session", "judged"))?.active, false)
      assert.strictEqual((yield* world.read("session", "newer"))?.active, true)
    })
  ),

  inWorld("replaces a stored time that lies in the future, whatever the entry says", (world) =>
    Effect.gen(function* () {
      for (const state of ["alive", "ended", "offline"] as const) {
        yield* world.insert("session", state, "a", { active: state !== "alive", lastActiveMillis: start + 2 * hour })
        const seen = entry(state, start - 1, state)
        const report = yield* world.storage.flush(FlushBatch.make([seen]))
        assert.deepStrictEqual(report.written, [seen])
        const after = { active: state === "alive", lastActiveMillis: start - 1 }
        assert.deepStrictEqual(yield* world.read("session", state), after)
      }
    })
  ),

  inWorld("says what it holds when that is newer than an end", (world) =>
    Effect.gen(function* () {
      yield* world.insert("session", "s", "a", { active: true, lastActiveMillis: start - 1 })
      const ended = entry("s", start - hour, "ended")
      const report = yield* world.storage.flush(FlushBatch.make([ended]))
      assert.deepStrictEqual(report.written, [{ ...ended, storedMillis: start - 1 }])
    })
  ),

  inWorld("takes a row offline whose stored time lies in the future: it would be shown online until then", (world) =>
    Effect.gen(function* () {
      yield* world.insert("session", "s", "a", { active: true, lastActiveMillis: start + 2 * hour })
      const judged = entry("s", start - hour, "offline")
      const report = yield* world.storage.flush(FlushBatch.make([judged]))
      assert.deepStrictEqual(report.written, [judged])
      assert.deepStrictEqual(yield* world.read("session", "s"), { active: false, lastActiveMillis: start - hour })
    })
  ),

  inWorld("reports missing rows, and leaves rows of another account untouched", (world) =>
    Effect.gen(function* () {
      const before = { active: false, lastActiveMillis: start - hour }
      yield* world.insert("session", "theirs", "b", before)
      yield* world.insert("machine", "gone", "a", before)
      const batch = FlushBatch.make([entry("theirs", start, "alive"), entry("gone", start, "alive")])
      const report = yield* world.storage.flush(batch)
      assert.deepStrictEqual(report.missing, batch.entries)
      assert.deepStrictEqual(report.written, [])
      assert.deepStrictEqual(yield* world.read("session", "theirs"), before)
      assert.deepStrictEqual(yield* world.read("machine", "gone"), before)

      const theirs = { kind: "session", accountId: "a", id: "theirs" } as const
      const swept = yield* world.storage.markOffline([theirs], until(start))
      assert.deepStrictEqual(swept, [])
    })
  ),

  inWorld("writes nothing, one row, a whole chunk and one row more", (world) =>
    Effect.gen(function* () {
      for (const count of [0, 1, world.chunkRows, world.chunkRows + 1]) {
        const entries = Array.from({ length: count }, (_, index) =>
          entry(`${count}-${index}`, start, "alive", kindOf(index))
        )
        for (const [index, { id }] of entries.entries()) {
          yield* world.insert(kindOf(index), id, "a", { active: false, lastActiveMillis: 1 })
        }
        const report = yield* world.storage.flush(FlushBatch.make(entries))
        assert.strictEqual(report.written.length, count)
        for (const [index, { id }] of entries.entries()) {
          assert.ok((yield* world.read(kindOf(index), id))?.active)
        }
      }
    })
  ),

  inWorld("stores ids as they are, whatever they contain", (world) =>
    Effect.gen(function* () {
      const ids = [`'; DROP TABLE "Session"; --`, `"quoted"`, "back\\slash", "ümläut ✓", "line\nbreak", "123"]
      for (const id of ids) yield* world.insert("session", id, "a", { active: false, lastActiveMillis: 1 })
      const report = yield* world.storage.flush(FlushBatch.make(ids.map((id) => entry(id, start, "alive"))))
      assert.deepStrictEqual(report.written.map(({ id }) => id).toSorted(), ids.toSorted())
      for (const id of ids) assert.ok((yield* world.read("session", id))?.active)
    })
  ),

  inWorld("pages through active rows that were last seen before the cutoff", (world) =>
    Effect.gen(function* () {
      for (let index = 0; index < 10; index++) {
        yield* world.insert("session", `s${index}`, "a", { active: true, lastActiveMillis: start - hour + (index % 3) })
      }
      yield* world.insert("session", "fresh", "a", { active: true, lastActiveMillis: start })
      yield* world.insert("session", "edge", "a", { active: true, lastActiveMillis: start - 1_000 })
      yield* world.insert("session", "inactive", "a", { active: false, lastActiveMillis: start - hour })
      const found: Array<string> = []
      let pageCount = 0
      let after: StaleCursor | undefined = undefined
      do {
        const page: { rows: ReadonlyArray<{ key: { id: string } }>; next: StaleCursor | undefined } =
          yield* world.storage.findStale("session", until(start - 1_000), 4, after)
        found.push(...page.rows.map(({ key }) => key.id))
        after = page.next
        pageCount++
      } while (after !== undefined)
      assert.deepStrictEqual(
        found.toSorted(),
        Array.from({ length: 10 }, (_, index) => `s${index}`)
      )
      assert.strictEqual(pageCount, 3)
      assert.deepStrictEqual((yield* world.storage.findStale("machine", until(start), 4)).rows, [])
    })
  ),

  inWorld("finds and marks what is stored with a time that lies too far ahead, until it is seen again", (world) =>
    Effect.gen(function* () {
      const ahead = { active: true, lastActiveMillis: start + hour + 1 }
      for (let index = 0; index < 5; index++) yield* world.insert("session", `ahead${index}`, "a", ahead)
      yield* world.insert("session", "edge", "a", { active: true, lastActiveMillis: start + hour })
      yield* world.insert("session", "silent", "a", { active: true, lastActiveMillis: start - hour })
      const found: Array<string> = []
      let after: StaleCursor | undefined = undefined
      do {
        const page: { rows: ReadonlyArray<{ key: { id: string } }>; next: StaleCursor | undefined } =
          yield* world.storage.findStale("session", until(start), 2, after)
        found.push(...page.rows.map(({ key }) => key.id))
        after = page.next
      } while (after !== undefined)
      assert.deepStrictEqual(found.toSorted(), ["ahead0", "ahead1", "ahead2", "ahead3", "ahead4", "silent"])
      const keys = ["ahead0", "edge"].map((id) => ({ kind: "session" as const, accountId: "a", id }))
      const changed = yield* world.storage.markOffline(keys, until(start))
      assert.deepStrictEqual(changed, [{ key: keys[0]!, lastSeenMillis: start + hour + 1 }])
      assert.strictEqual((yield* world.read("session", "edge"))?.active, true)
      yield* world.storage.flush(FlushBatch.make([entry("ahead0", start, "alive")]))
      assert.strictEqual((yield* world.read("session", "ahead0"))?.active, true)
    })
  ),

  inWorld("marks offline what is still active and still silent, and answers exactly that", (world) =>
    Effect.gen(function* () {
      yield* world.insert("session", "silent", "a", { active: true, lastActiveMillis: start - hour })
      yield* world.insert("session", "back", "a", { active: true, lastActiveMillis: start })
      yield* world.insert("session", "already", "a", { active: false, lastActiveMillis: start - hour })
      yield* world.insert("machine", "silent", "a", { active: true, lastActiveMillis: start - hour })
      const keys = ["silent", "back", "already", "gone"].map((id) => ({
        kind: "session" as const,
        accountId: "a",
        id
      }))
      const machine = { kind: "machine" as const, accountId: "a", id: "silent" }
      const changed = yield* world.storage.markOffline([...keys, machine], until(start - 1_000))
      assert.deepStrictEqual(changed, [
        { key: keys[0]!, lastSeenMillis: start - hour },
        { key: machine, lastSeenMillis: start - hour }
      ])
      assert.deepStrictEqual(yield* world.read("session", "silent"), { active: false, lastActiveMillis: start - hour })
      assert.strictEqual((yield* world.read("session", "back"))?.active, true)
    })
  ),

  inWorld("writes rows of every kind in one chunk, those without an account too", (world) =>
    Effect.gen(function* () {
      const kinds = Object.keys(contractKinds) as ReadonlyArray<ContractKind>
      for (const kind of kinds) yield* world.insert(kind, "x", "a", { active: false, lastActiveMillis: start - hour })
      const entries = kinds.map((kind) => keyed(kind, "x", "a", { seenAtMillis: start, state: "alive" }))
      const report = yield* world.storage.flush(FlushBatch.make(entries))
      assert.deepStrictEqual(report.written, entries)
      assert.strictEqual(report.chunkCount, 1)
      for (const kind of kinds) {
        assert.deepStrictEqual(yield* world.read(kind, "x"), { active: true, lastActiveMillis: start }, kind)
      }
    })
  ),

  inWorld("keeps rows of two accounts with the same id apart where the account is a part of the key", (world) =>
    Effect.gen(function* () {
      const before = { active: true, lastActiveMillis: start - hour }
      for (const account of ["a", "b", "c"]) yield* world.insert("laptop", "laptop", account, before)
      const alive = keyed("laptop", "laptop", "a", { seenAtMillis: start, state: "alive" })
      const ended = keyed("laptop", "laptop", "b", { seenAtMillis: start - 1, state: "ended" })
      const gone = keyed("laptop", "laptop", "d", { seenAtMillis: start, state: "alive" })
      const report = yield* world.storage.flush(FlushBatch.make([alive, ended, gone]))
      assert.deepStrictEqual([report.written, report.missing], [[alive, ended], [gone]])
      assert.deepStrictEqual(yield* world.read("laptop", "laptop", "a"), { active: true, lastActiveMillis: start })
      assert.deepStrictEqual(yield* world.read("laptop", "laptop", "b"), { active: false, lastActiveMillis: start - 1 })
      assert.deepStrictEqual(yield* world.read("laptop", "laptop", "c"), before)

      const keys = ["a", "b", "c"].map((accountId) => ({ kind: "laptop", accountId, id: "laptop" }))
      const changed = yield* world.storage.markOffline(keys, until(start))
      assert.deepStrictEqual(changed, [{ key: keys[2]!, lastSeenMillis: start - hour }])
    })
  ),

  inWorld("pages through rows with the same id and the same time, each once, and those without an account", (world) =>
    Effect.gen(function* () {
      const silent = { active: true, lastActiveMillis: start - hour }
      for (let index = 0; index < 7; index++) yield* world.insert("laptop", "laptop", `account ${index}`, silent)
      for (let index = 0; index < 5; index++) yield* world.insert("sensor", `s${index}`, "", silent)
      const all = (kind: ContractKind) =>
        Effect.gen(function* () {
          const found: Array<PresenceKey> = []
          let page = yield* world.storage.findStale(kind, until(start), 2)
          found.push(...page.rows.map(({ key }) => key))
          while (page.next !== undefined) {
            page = yield* world.storage.findStale(kind, until(start), 2, page.next)
            found.push(...page.rows.map(({ key }) => key))
          }
          return found
        })
      const laptops = yield* all("laptop")
      assert.strictEqual(laptops.length, 7)
      assert.strictEqual(new Set(laptops.map(({ accountId }) => accountId)).size, 7)
      const sensors = yield* all("sensor")
      assert.deepStrictEqual(
        sensors.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
        Array.from({ length: 5 }, (_, index) => ({ kind: "sensor", id: `s${index}` }))
      )
      assert.strictEqual((yield* world.storage.markOffline(sensors, until(start))).length, 5)
      assert.strictEqual((yield* world.read("sensor", "s0"))?.active, false)
    })
  ),

  inWorld("finds no row for an id that cannot be stored, and none for one that differs by its case", (world) =>
    Effect.gen(function* () {
      const before = { active: false, lastActiveMillis: start - hour }
      yield* world.insert("session", "laptop", "a", before)
      yield* world.insert("session", "\ufffd", "a", before)
      const batch = FlushBatch.make(["LAPTOP", "\ud800", " laptop"].map((id) => entry(id, start, "alive")))
      const report = yield* world.storage.flush(batch)
      assert.deepStrictEqual(report.missing, batch.entries)
      assert.deepStrictEqual(yield* world.read("session", "laptop"), before)
      assert.deepStrictEqual(yield* world.read("session", "\ufffd"), before)
    })
  ),

  inWorld("dies of a kind that was not declared, by name", (world) =>
    Effect.gen(function* () {
      const stranger = { kind: "stranger", id: "x", seenAtMillis: start, state: "alive" as const }
      const calls: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        world.storage.flush(FlushBatch.make([stranger])),
        world.storage.findStale("stranger", until(start), 1),
        world.storage.markOffline([stranger], until(start))
      ]
      for (const call of calls) {
        const exit = yield* Effect.exit(call)
        const defect = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.dieOption(exit.cause)) : undefined
        assert.strictEqual(
          (defect as Error | undefined)?.message,
          'no kind "stranger" is declared, only session, machine, sensor, laptop'
        )
      }
    })
  )
]
