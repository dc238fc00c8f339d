/**
 * Debian's Chromium, driven by playwright-core. Where it is missing
 * (`apt-get install chromium`), tests that need it are skipped.
 */
import axe, { type AxeResults } from "axe-core"
import { Effect, type Scope } from "effect"
import fs from "node:fs"
import path from "node:path"
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core"

const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium"

export const isInstalled: boolean = fs.existsSync(executablePath)

/** Where screenshots are kept, if the variable is set. */
const screenshotDirectory = process.env["SCREENSHOTS"]

/** A browser that ends with the scope. */
export const launch: Effect.Effect<Browser, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(() => chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] })),
  (browser) => Effect.promise(() => browser.close())
)

export interface OpenPage {
  readonly page: Page
  /** Errors that the page logged, or that it did not catch. */
  readonly errors: ReadonlyArray<string>
}

/** A page in a profile of its own. */
export const open = (
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {}
): Effect.Effect<OpenPage, never, Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Effect.acquireRelease(
      Effect.promise(() => browser.newContext(options)),
      (context) => Effect.promise(() => context.close())
    )
    const page = yield* Effect.promise(() => context.newPage())
    const errors: Array<string> = []
    page.on("console", (message) => {
      if (message.type() === "error") errors.push(message.text())
    })
    page.on("pageerror", (error) => errors.push(String(error)))
    yield* Effect.promise(() => page.goto(url))
    return { page, errors }
  })

/** Barriers that axe-core finds, each with the elements it concerns. */
export const barriers = (page: Page): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () => {
    await page.evaluate(axe.source)
    const found = await page.evaluate(async () => {
      const { axe } = globalThis as unknown as {
        readonly axe: { readonly run: () => Promise<AxeResults> }
      }
      const { violations } = await axe.run()
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" | ")}`)
    })
    return found
  })

/** Keeps a picture of the whole page, if `SCREENSHOTS` names a folder. */
export const keepPicture = (page: Page, name: string): Effect.Effect<void> =>
  Effect.promise(async () => {
    if (screenshotDirectory === undefined) return
    await page.screenshot({ path: path.join(screenshotDirectory, `${name}.png`), fullPage: true })
  })
