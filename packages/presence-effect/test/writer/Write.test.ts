import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import { pipe } from "effect/Function"
import * as Schema from "effect/Schema"
import type { Durability } from "../../src/writer/Durability.ts"
import * as Write from "../../src/writer/Write.ts"

/** A result the write under test can be told by. */
const result = (id: number): Write.StatementResult => ({ rows: [{ id }], changes: id })
const results = (count: number) => Array.from({ length: count }, (_, index) => result(index))
const changes = (name: string) => Write.map(Write.statement(name), (done) => done.changes)
const decoded = <A>(write: Write.Write<A>, given = results(write.statements.length)) =>
  Either.getOrThrow(write.decode(given))
const texts = (write: Write.Write<unknown>) => write.statements.map(({ sql }) => sql)

/** A composition as data, to be built with the library and, beside it, with lists. */
type Plan =
  | { readonly _tag: "Leaf"; readonly name: string; readonly durability: Durability | undefined }
  | { readonly _tag: "Zip" | "AndThen"; readonly left: Plan; readonly right: Plan }
  | { readonly _tag: "All"; readonly parts: ReadonlyArray<Plan> }
  | { readonly _tag: "Map"; readonly of: Plan }
  | { readonly _tag: "With"; readonly of: Plan; readonly durability: Durability }

const asked = FastCheck.constantFrom<Durability>("power-loss", "process-crash")
const { plan } = FastCheck.letrec<{ plan: Plan }>((tie) => ({
  plan: FastCheck.oneof(
    { maxDepth: 4, withCrossShrink: true },
    FastCheck.record({
      _tag: FastCheck.constant("Leaf" as const),
      name: FastCheck.hexaString({ minLength: 1, maxLength: 4 }),
      durability: FastCheck.option(asked, { nil: undefined })
    }),
    FastCheck.record({
      _tag: FastCheck.constantFrom("Zip" as const, "AndThen" as const),
      left: tie("plan"),
      right: tie("plan")
    }),
    FastCheck.record({
      _tag: FastCheck.constant("All" as const),
      parts: FastCheck.array(tie("plan"), { maxLength: 4 })
    }),
    FastCheck.record({ _tag: FastCheck.constant("Map" as const), of: tie("plan") }),
    FastCheck.record({ _tag: FastCheck.constant("With" as const), of: tie("plan"), durability: asked })
  )
}))

const build = (plan: Plan): Write.Write<unknown> => {
  switch (plan._tag) {
    case "Leaf":
      return plan.durability === undefined
        ? changes(plan.name)
        : Write.withDurability(changes(plan.name), plan.durability)
    case "Zip":
      return Write.zip(build(plan.left), build(plan.right))
    case "AndThen":
      return Write.andThen(build(plan.left), build(plan.right))
    case "All":
      return Write.all(plan.parts.map(build))
    case "Map":
      return Write.map(build(plan.of), (value) => ({ value }))
    case "With":
      return Write.withDurability(build(plan.of), plan.durability)
  }
}

interface Reference {
  readonly names: ReadonlyArray<string>
  readonly durabilities: ReadonlyArray<Durability | undefined>
  /** Takes one result per name from the front of `given`. */
  readonly read: (given: Array<Write.StatementResult>) => unknown
}

const refer = (plan: Plan): Reference => {
  switch (plan._tag) {
    case "Leaf":
      return { names: [plan.name], durabilities: [plan.durability], read: (given) => given.shift()?.changes }
    case "Zip":
    case "AndThen": {
      const left = refer(plan.left)
      const right = refer(plan.right)
      return {
        names: [...left.names, ...right.names],
        durabilities: [...left.durabilities, ...right.durabilities],
        read: (given) => {
          const both = [left.read(given), right.read(given)]
          return plan._tag === "Zip" ? both : both[1]
        }
      }
    }
    case "All": {
      const parts = plan.parts.map(refer)
      return {
        names: parts.flatMap(({ names }) => names),
        durabilities: parts.flatMap(({ durabilities }) => durabilities),
        read: (given) => parts.map(({ read }) => read(given))
      }
    }
    case "Map": {
      const inner = refer(plan.of)
      return { ...inner, read: (given) => ({ value: inner.read(given) }) }
    }
    case "With":
      return { ...refer(plan.of), durabilities: [plan.durability] }
  }
}

const strictest = (durabilities: ReadonlyArray<Durability | undefined>): Durability | undefined =>
  durabilities.includes("power-loss") ? "power-loss" : durabilities.find((one) => one !== undefined)

describe("Write", () => {
  it("composes like lists do: statements in order, each decoder its own results, the strictest durability", () => {
    FastCheck.assert(
      FastCheck.property(plan, (plan) => {
        const write = build(plan)
        const reference = refer(plan)
        assert.deepStrictEqual(texts(write), reference.names)
        assert.strictEqual(write.durability, strictest(reference.durabilities))
        assert.deepStrictEqual(decoded(write), reference.read(results(reference.names.length)))
      }),
      { numRuns: 500 }
    )
  })

  describe("statement", () => {
    it("changes any number of rows unless it says how many, and asks for no durability", () => {
      const write = Write.statement("UPDATE T SET a = ?", [1])
      assert.deepStrictEqual(write.statements, [{ sql: "UPDATE T SET a = ?", params: [1], changes: "any" }])
      assert.isUndefined(write.durability)
      assert.deepStrictEqual(Write.statement("x", [], { changes: "some" }).statements[0]?.changes, "some")
      assert.deepStrictEqual(decoded(write, [result(3)]), result(3))
    })
  })

  it("has a unit: empty beside a write changes neither its statements nor its result", () => {
    const write = Write.withDurability(changes("a"), "process-crash")
    assert.deepStrictEqual(decoded(Write.zip(Write.empty, write)), [undefined, 0])
    assert.strictEqual(decoded(Write.andThen(Write.empty, write)), 0)
    assert.strictEqual(Write.zip(write, Write.empty).durability, "process-crash")
    assert.deepStrictEqual(Write.empty.statements, [])
    assert.deepStrictEqual(decoded(Write.all([])), [])
  })

  describe("decodeRows", () => {
    const Row = Schema.Struct({ id: Schema.Number })

    it("reads the rows of its own statement wherever it stands", () => {
      const rows = Write.decodeRows(Write.statement("b"), Row)
      assert.deepStrictEqual(decoded(Write.all<unknown>([changes("a"), rows, changes("c")])), [0, [{ id: 1 }], 2])
    })

    it("fails for the whole write when one row does not fit, naming what it found", () => {
      const rows = Write.decodeRows(Write.statement("b"), Schema.Struct({ id: Schema.String }))
      const outcome = Write.zip(changes("a"), rows).decode(results(2))
      assert.isTrue(Either.isLeft(outcome))
      assert.include(String(Either.getLeft(outcome)), "Expected string, actual 1")
    })
  })

  it("takes its combinators last in a pipe and first in a call", () => {
    const a = changes("a")
    const b = changes("b")
    const Row = Schema.Struct({ id: Schema.Number })
    const double = (n: number) => n * 2
    const pairs: ReadonlyArray<readonly [Write.Write<unknown>, Write.Write<unknown>]> = [
      [Write.zip(a, b), a.pipe(Write.zip(b))],
      [Write.andThen(a, b), a.pipe(Write.andThen(b))],
      [Write.map(a, double), a.pipe(Write.map(double))],
      [Write.withDurability(a, "power-loss"), a.pipe(Write.withDurability("power-loss"))],
      [Write.decodeRows(Write.statement("r"), Row), pipe(Write.statement("r"), Write.decodeRows(Row))]
    ]
    for (const [called, piped] of pairs) {
      assert.deepStrictEqual(texts(called), texts(piped))
      assert.strictEqual(called.durability, piped.durability)
      assert.deepStrictEqual(decoded(called), decoded(piped))
    }
  })

  it("marks every statement that may use the reserve, and none that joins later", () => {
    const marks = (write: Write.Write<unknown>) => write.statements.map(({ usesReserve }) => usesReserve === true)
    const both = Write.withReserve(Write.zip(changes("a"), Write.withDurability(changes("b"), "power-loss")))
    assert.deepStrictEqual(marks(both), [true, true])
    assert.strictEqual(both.durability, "power-loss")
    assert.deepStrictEqual(decoded(both), [0, 1])
    assert.deepStrictEqual(marks(Write.zip(both, changes("c"))), [true, true, false])
  })

  it("leaves the writes it was made of as they were", () => {
    const a = changes("a")
    const before = { statements: a.statements.slice(), durability: a.durability }
    Write.withDurability(Write.zip(a, changes("b")), "power-loss")
    assert.deepStrictEqual({ statements: a.statements, durability: a.durability }, before)
  })
})
