/**
 * Goal: the report of the lab reads well on a desk and on a phone, in light and dark, and with any color vision.
 * Method: reports of short virtual runs, Chromium and axe-core. With `SCREENSHOTS=folder` pictures are kept.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import path from "node:path"
import type { Page } from "playwright-core"
import * as Browser from "../../src/drivers/Browser.ts"
import * as TemporaryDirectory from "../../src/drivers/TemporaryDirectory.ts"

const main = path.resolve(import.meta.dirname, "../../../contention-lab/dist/src/main.js")

const test = it.scopedLive.skipIf(!Browser.isInstalled)

/** The address of a report, whose figures are the same each time. */
const report = (...args: ReadonlyArray<string>) =>
  Effect.map(TemporaryDirectory.make, (folder) => {
    const file = path.join(folder, "report.html")
    execFileSync(process.execPath, [main, "--virtual", ...args, "--html", file], { stdio: "ignore" })
    return `file://${file}`
  })

const headingsOf = (page: Page) =>
  Effect.promise(async () => ({
    headlines: await page.locator("h1").allInnerTexts(),
    columns: await page.locator("#figures th").allInnerTexts()
  }))

/** What is wider than the window, by its element. */
const overflowing = (page: Page) =>
  Effect.promise(() =>
    page.evaluate(() => {
      const { document, innerWidth } = globalThis as unknown as {
        readonly document: { readonly querySelectorAll: (selector: string) => Iterable<any> }
        readonly innerWidth: number
      }
      // A table may be wider: it is scrolled in a box of its own.
      return Array.from(document.querySelectorAll("body, body *"))
        .filter((element) => element.closest("table") === null && element.closest("script, style") === null)
        .filter((element) => Math.round(element.getBoundingClientRect().right) > innerWidth)
        .map((element) => `${element.tagName} ${element.className}`)
    })
  )

/** Each color in the pixels of a plot, with how often it is there. */
const colorsOf = (page: Page, plot: number) =>
  Effect.promise(() =>
    page
      .locator("canvas")
      .nth(plot)
      .evaluate((canvas: any) => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
        const counts: Record<string, number> = {}
        for (let at = 0; at < data.length; at += 4) {
          if (data[at + 3] !== 255) continue
          const color = `#${[0, 1, 2].map((part) => data[at + part].toString(16).padStart(2, "0")).join("")}`
          counts[color] = (counts[color] ?? 0) + 1
        }
        return counts
      })
  )

const strategies = "per-row-roundtrip,one-transaction-roundtrip,presence-effect-roundtrip,presence-effect"

const sizes = [
  { name: "desk", viewport: { width: 1200, height: 900 } },
  { name: "phone", viewport: { width: 375, height: 812 } }
]

describe("the report of the lab in a browser", () => {
  test(
    "answers in one headline, fits a desk and a phone, and has no barrier, in light and dark",
    () =>
      Effect.gen(function* () {
        const url = yield* report("--seconds", "20", "--sessions", "6,9", "--strategies", strategies)
        const browser = yield* Browser.launch
        for (const { name, viewport } of sizes) {
          for (const colorScheme of ["light", "dark"] as const) {
            const { errors, page } = yield* Browser.open(browser, url, { colorScheme, viewport })
            const { headlines } = yield* headingsOf(page)
            assert.lengthOf(headlines, 1)
            assert.match(headlines[0] ?? "", /^per-row-roundtrip at 9 sessions collapsed: .* the slowest after .*\.$/)
            assert.deepStrictEqual(yield* overflowing(page), [], `${name} ${colorScheme}`)
            const plots = yield* Effect.promise(() => page.locator("canvas").count())
            assert.isAbove(plots, 7)
            assert.deepStrictEqual(yield* Browser.barriers(page), [], `${name} ${colorScheme}`)
            assert.deepStrictEqual(errors, [])
            yield* Browser.keepPicture(page, `lab-${name}-${colorScheme}`)
          }
        }
      }),
    120_000
  )

  test(
    "draws each strategy with a color and a shape of its own, also in the key",
    () =>
      Effect.gen(function* () {
        const url = yield* report("--seconds", "20", "--strategies", strategies)
        const { page } = yield* Browser.open(yield* Browser.launch, url, { colorScheme: "light" })
        const keys = yield* Effect.promise(() =>
          page
            .locator(".card")
            .nth(1)
            .locator(".key")
            .evaluateAll((elements: ReadonlyArray<any>) =>
              elements.map((key) => ({
                fill: key.querySelector("polygon").style.fill,
                shape: key.querySelector("polygon").getAttribute("points")
              }))
            )
        )
        assert.lengthOf(keys, 3)
        assert.strictEqual(new Set(keys.map(({ fill }) => fill)).size, 3)
        assert.strictEqual(new Set(keys.map(({ shape }) => shape)).size, 3)
        // The points that were drawn: those of the incident, of one transaction, and of this project.
        const drawn = yield* colorsOf(page, 0)
        for (const color of ["#d55e00", "#cc79a7", "#0072b2"]) assert.isAbove(drawn[color] ?? 0, 100, color)
      }),
    60_000
  )

  test(
    "has a 99th percentile from a hundred arrivals on",
    () =>
      Effect.gen(function* () {
        const browser = yield* Browser.launch
        const columnsOf = (seconds: string) =>
          Effect.gen(function* () {
            const url = yield* report("--seconds", seconds, "--strategies", "presence-effect")
            const { page } = yield* Browser.open(browser, url)
            return (yield* headingsOf(page)).columns
          })
        const [few, many] = [yield* columnsOf("15"), yield* columnsOf("60")]
        assert.notInclude(few, "p99")
        assert.include(many, "p99")
      }),
    60_000
  )
})
