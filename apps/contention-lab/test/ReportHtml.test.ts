/**
 * Goal: readers with any color vision tell the strategies apart.
 * Method: the colors of the page as they are written there; `apps/proving/test/browser` looks at it in a browser.
 */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"

const read = (name: string) => fs.readFileSync(new URL(`../page/${name}`, import.meta.url), "utf8")

/** The palette of Okabe and Ito, with black. */
const palette = ["#000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"]

const themes = read("report.css")
  .split("prefers-color-scheme: dark")
  .map((part) => ({
    series: Array.from(part.matchAll(/--s\d: (#[0-9a-f]{6});/g), ([, color = ""]) => color),
    card: /--card: (#[0-9a-f]{6});/.exec(part)?.[1] ?? ""
  }))

const luminance = (color: string): number => {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5]
    .map((from) => Number.parseInt(color.slice(from, from + 2), 16) / 255)
    .map((part) => (part <= 0.040_45 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/** As WCAG defines it; graphics need 3. */
const contrast = (left: string, right: string): number => {
  const [dark = 0, light = 0] = [luminance(left), luminance(right)].toSorted((a, b) => a - b)
  return (light + 0.05) / (dark + 0.05)
}

describe("ReportHtml", () => {
  it.each([
    { name: "light", theme: themes[0] },
    { name: "dark", theme: themes[1] }
  ])("has the colors of Okabe and Ito, with enough contrast, in the $name page", ({ theme }) => {
    const { card = "", series = [] } = theme ?? {}
    assert.strictEqual(new Set(series).size, 5)
    assert.includeMembers(palette, series)
    const faint = series.filter((color) => contrast(color, card) < 3)
    assert.deepStrictEqual(faint, [])
  })

  it("has one headline", () => {
    assert.strictEqual(read("report.html").match(/<h1/g)?.length, 1)
    assert.notInclude(read("report.js"), '"h1"')
  })
})
