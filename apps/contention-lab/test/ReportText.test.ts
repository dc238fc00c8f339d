/**
 * Goal: the report reads well in a terminal of 80 columns: the answer first and last, and nothing cut.
 * Method: figures of short virtual runs, and the same with numbers as wide as they can be.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Figures } from "../src/Figures.ts"
import * as Options from "../src/Options.ts"
import * as ReportText from "../src/ReportText.ts"
import { strategyNames } from "../src/strategies/Catalogue.ts"
import * as Verdict from "../src/Verdict.ts"
import * as VirtualLab from "../src/VirtualLab.ts"

const optionsOf = (...args: ReadonlyArray<string>): Options.LabOptions => {
  const request = Options.parse(args)
  if (request._tag !== "Run") throw new Error(request.text)
  return request.options
}

const plots = "Plots: elsewhere"

const figuresOf = (options: Options.LabOptions) => VirtualLab.run(options.scenarios, () => {})

const tooLong = (text: string): ReadonlyArray<string> =>
  text.split("\n").filter((line) => line.length > ReportText.columnCount)

/** The words alone: where a line ends does not matter. */
const words = (text: string): string => text.replaceAll(/\s+/g, " ").trim()

/** Figures as wide as they come. */
const wide = (figures: Figures, strategy: Figures["strategy"]): Figures => ({
  ...figures,
  strategy,
  sessionCount: 20_000,
  loopGapMaxMillis: 12_345,
  heldShare: 1,
  registration: {
    ...figures.registration,
    count: 86_400,
    missedCount: 86_400,
    p50Millis: 9_999,
    p99Millis: 9_999,
    maxMillis: 23_456
  },
  flush: { ...figures.flush, count: 86_400, emptyCount: 86_400, last: { writtenCount: 20_003, rowCount: 20_003 } }
})

describe("ReportText", () => {
  it.live("begins and ends with the answer, and fits 80 columns", () =>
    Effect.gen(function* () {
      const options = optionsOf(
        "--virtual",
        "--seconds",
        "15",
        "--strategies",
        "per-row-roundtrip,presence-effect-roundtrip"
      )
      const figures = yield* figuresOf(options)
      const text = ReportText.make(figures, options, plots)
      const answer = Verdict.headline(figures)
      assert.match(
        answer,
        /^per-row-roundtrip collapsed: \d+ of \d+ machines were not registered within 10 s\. With presence/
      )
      const parts = text.split("\n\n")
      assert.deepStrictEqual([words(parts[0] ?? ""), words(parts.at(-1) ?? "")], [answer, answer])
      assert.deepStrictEqual(tooLong(text), [])
      // No line ends between a number and its unit.
      assert.notMatch(text, /\d\n *(ms|s|%)\b/)
      // Nothing of the terminal is needed to tell the strategies apart.
      assert.notInclude(text, "\u001b")
      assert.match(text, /^per-row-roundtrip +o?-*X$/m)
      assert.match(text, /^presence-effect-roundtrip +o-*>$/m)
    })
  )

  it.live("fits 80 columns with every strategy and the widest numbers", () =>
    Effect.gen(function* () {
      const options = optionsOf(
        "--virtual",
        "--seconds",
        "1",
        "--strategies",
        "presence-effect",
        "--foreign-lock",
        "--disk",
        "slow"
      )
      const [one] = yield* figuresOf(options)
      assert.isDefined(one)
      const figures = strategyNames.map((name) => wide(one as Figures, name))
      assert.deepStrictEqual(tooLong(ReportText.make(figures, options, plots)), [])
    })
  )

  it.live("says that it is PostgreSQL, and fits 80 columns there as well", () =>
    Effect.gen(function* () {
      const options = optionsOf("--database", "postgres", "--disk", "slow", "--foreign-lock")
      const virtual = optionsOf("--virtual", "--seconds", "1", "--strategies", "presence-effect")
      const [one] = yield* figuresOf(virtual)
      assert.isDefined(one)
      const names = options.scenarios.map(({ strategy }) => strategy)
      const figures = names.map((name): Figures => ({ ...wide(one as Figures, name), database: "postgres" }))
      const text = ReportText.make(figures, options, plots)
      assert.deepStrictEqual(tooLong(text), [])
      assert.include(words(text), "PostgreSQL, 4 connections for each strategy; 15 s of arrivals")
      assert.include(words(text), "Another process locked the rows of all sessions now and then")
      assert.include(words(text), "The same pool; the updates of a tick share one transaction")
      assert.notInclude(text, "SQLite")
    })
  )

  it.live("has a column for the 99th percentile from a hundred arrivals on", () =>
    Effect.gen(function* () {
      const reportOf = (seconds: string) => {
        const options = optionsOf("--virtual", "--seconds", seconds, "--strategies", "presence-effect")
        return Effect.map(figuresOf(options), (figures) => {
          const count = figures[0]?.registration.count ?? 0
          return { count, head: /^strategy .*$/m.exec(ReportText.make(figures, options, plots))?.[0] ?? "" }
        })
      }
      const few = yield* reportOf("15")
      assert.isBelow(few.count, 100)
      assert.notInclude(few.head, "p99")
      const many = yield* reportOf("60")
      assert.isAtLeast(many.count, 100)
      assert.include(many.head, "p99")
    })
  )

  it("has a help that fits 80 columns", () => {
    const request = Options.parse(["--help"])
    assert.deepStrictEqual(tooLong(request._tag === "Help" ? request.text : "no help".repeat(20)), [])
  })
})
