/** What is released next: changesets, and the changelogs that they become. */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"

const root = new URL("..", import.meta.url).pathname
const released = { "presence-effect": "packages/presence-effect", "light-server": "apps/light-server" }

const manifestIn = (place: string, folder: string): { readonly name: string; readonly version: string } =>
  JSON.parse(readFileSync(path.join(place, folder, "package.json"), "utf8"))

const headings = (file: string): ReadonlyArray<string> =>
  readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("#"))

/** A release formats what it writes. */
const words = (text: string): string => text.replace(/\s+/g, " ")

/** What a release reads: manifests, changelogs and changesets, and the modules that do it. */
const copyOf = (place: string): void => {
  const files = execFileSync("git", ["ls-files", "*package.json", "*CHANGELOG.md", ".changeset", "package-lock.json"], {
    cwd: root,
    encoding: "utf8"
  })
  for (const file of files.split("\n").filter((file) => file !== "")) {
    cpSync(path.join(root, file), path.join(place, file), { recursive: true })
  }
  symlinkSync(path.join(root, "node_modules"), path.join(place, "node_modules"))
  const git = (...args: ReadonlyArray<string>) => execFileSync("git", [...args], { cwd: place, stdio: "pipe" })
  git("init", "--initial-branch", "main")
  writeFileSync(path.join(place, ".gitignore"), "node_modules\n")
  git("add", "--all")
  git("-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "--message", "a copy")
}

describe("a release", () => {
  it.each(Object.entries(released))("of %s stands on top of its changelog", (name, folder) => {
    const [title, newest] = headings(path.join(root, folder, "CHANGELOG.md"))
    assert.strictEqual(title, `# Changelog of ${name}`)
    assert.strictEqual(newest, `## ${manifestIn(root, folder).version}`)
  })

  it("turns every changeset into a version and its changelog", { timeout: 60_000 }, () => {
    const place = mkdtempSync(path.join(tmpdir(), "release-"))
    try {
      copyOf(place)
      const summaries = readdirSync(path.join(root, ".changeset"))
        .filter((file) => file.endsWith(".md") && file !== "README.md")
        .map(
          (file) =>
            readFileSync(path.join(root, ".changeset", file), "utf8")
              .split("---\n")[2]
              ?.trim() ?? ""
        )
      writeFileSync(
        path.join(place, ".changeset/one-more.md"),
        `---\n"presence-effect": patch\n"light-server": patch\n---\n\n- Said for the test.\n`
      )
      execFileSync(process.execPath, [path.join(root, "node_modules/@changesets/cli/bin.js"), "version"], {
        cwd: place,
        stdio: "pipe"
      })
      const changelogs = Object.values(released).map((folder) => {
        assert.notStrictEqual(manifestIn(place, folder).version, manifestIn(root, folder).version, folder)
        const changelog = path.join(place, folder, "CHANGELOG.md")
        assert.strictEqual(headings(changelog)[1], `## ${manifestIn(place, folder).version}`)
        return readFileSync(changelog, "utf8")
      })
      for (const changelog of changelogs) assert.include(changelog, "- Said for the test.")
      for (const summary of summaries) {
        assert.isNotEmpty(summary)
        assert.isTrue(
          changelogs.some((changelog) => words(changelog).includes(words(summary))),
          summary
        )
      }
      const left = readdirSync(path.join(place, ".changeset")).filter((file) => file.endsWith(".md"))
      assert.deepStrictEqual(left, ["README.md"])
    } finally {
      rmSync(place, { recursive: true, force: true })
    }
  })
})
