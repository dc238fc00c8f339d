/**
 * Goal: wherever a person reads a command of this program, it is one that exists in that place.
 * Method: read the texts of the repository and look for the name of the program before the name of a command.
 */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import fs from "node:fs"
import path from "node:path"
import * as Verbs from "../../src/cli/Verbs.ts"
import * as Version from "../../src/Version.ts"

const root = path.resolve(import.meta.dirname, "../../../..")

const read = (file: string): string => fs.readFileSync(path.join(root, file), "utf8")

/** Decisions record how things were, and fixtures of a document test may hold wrong ones. */
const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: root,
  encoding: "utf8"
})
  .split("\n")
  .filter((file) => /^(README|CONTRIBUTING|SECURITY|docs|deploy|scripts|apps|packages)/.test(file))
  .filter((file) => !/^docs\/decisions\/|\/fixtures\/|\.(sqlite|db|png|svg|gz)$/.test(file))
  .filter((file) => file !== "apps/light-server/test/cli/CommandName.test.ts" && fs.existsSync(path.join(root, file)))

const verbs = Verbs.build(() => {})
  .commands.map((command) => command.name())
  .join("|")

const typed = String.raw`(?:["'\s]|\\n)+(?:(?:${verbs})\b|--[a-z]|<command>)`

/** Another name, as the command. Workspaces, services, images and folders have this name too, and are meant. */
const otherName = new RegExp(String.raw`(?<![\w/@.-])(?:npx )?light-server${typed}`)
const thisName = new RegExp(String.raw`happier-light-server${typed}`)
const inClone = new RegExp(String.raw`(?<!npx --no-install )happier-light-server${typed}`)

const wrongIn = (text: string, wrong: RegExp): ReadonlyArray<string> => {
  const lines = text.split("\n")
  return lines.flatMap((line, index) => {
    // A line break of a paragraph may stand between the two.
    const found = wrong.exec(`${line}\n${lines[index + 1] ?? ""}`)
    return found === null || found.index > line.length ? [] : [`${index + 1}: ${found[0].replaceAll(/\s+/g, " ")}`]
  })
}

const wrongAmong = (chosen: ReadonlyArray<string>, wrong: RegExp): ReadonlyArray<string> =>
  chosen.flatMap((file) => wrongIn(read(file), wrong).map((found) => `${file}:${found}`))

describe("the name of the command", () => {
  it("is found where it is wrong, and nowhere else", () => {
    const wrong = [
      "`light-server status`",
      "run light-server\nconfig print",
      "npx light-server --help",
      '"light-server serve"'
    ]
    for (const text of wrong) assert.lengthOf(wrongIn(text, otherName), 1, text)
    for (const text of [
      "happier-light-server status",
      "vitest --project light-server test/config",
      "the light server"
    ]) {
      assert.deepStrictEqual(wrongIn(text, otherName), [], text)
    }
  })

  it("is the same in every text that a person may type from", () => {
    assert.isAbove(files.length, 300)
    assert.deepStrictEqual(wrongAmong(files, otherName), [])
  })

  it("is the one of the manifest and of the package", () => {
    const { bin } = JSON.parse(read("apps/light-server/package.json")) as { readonly bin: Record<string, string> }
    assert.deepStrictEqual(Object.keys(bin), [Version.programName])
    assert.include(read("scripts/pack.mjs"), `packageName = "${Version.programName}"`)
  })

  it("is the command of the package, and one of npm in a clone", () => {
    assert.strictEqual(Version.commandOf("happier-light-server"), "happier-light-server")
    assert.strictEqual(Version.commandOf("light-server"), "npx --no-install happier-light-server")
    assert.strictEqual(Version.command, "npx --no-install happier-light-server")
  })

  it("is not written out in what the program prints: that depends on where it is installed", () => {
    const sources = files.filter((file) => /^apps\/light-server\/(src|web)\//.test(file))
    assert.deepStrictEqual(wrongAmong(sources, thisName), [])
  })

  it("is run by npm in the documents of a clone", () => {
    const documents = files.filter((file) => /(^|\/)(README|CONTRIBUTING)\.md$/.test(file))
    assert.isAbove(documents.length, 5)
    assert.deepStrictEqual(wrongAmong(documents, inClone), [])
  })

  it("is the file that units and containers start", () => {
    const started = files
      .filter((file) => file.startsWith("deploy/"))
      .flatMap((file) => [...read(file).matchAll(/\bbin\/([\w-]*light-server)\b/g)].map(([, name]) => name))
    assert.isNotEmpty(started)
    assert.deepStrictEqual(new Set(started), new Set([Version.programName]))
  })
})
