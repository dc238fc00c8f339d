/**
 * Goal: what the rules of CONTRIBUTING.md say and no linter can check.
 * Method: read the files on disk; a violation is reported as `file:line reason`.
 */
import { assert, describe, it } from "@effect/vitest"
import * as path from "node:path"
import { exists, filesBelow, isCode, read } from "./sources.ts"

const library = "packages/presence-effect/src"

const everything = filesBelow("")
const code = everything.filter(isCode)
const documents = everything.filter((file) => file.endsWith(".md"))
const manifests = everything.filter((file) => path.basename(file) === "package.json")

/** `file:line reason` for every line that breaks a rule. */
const offences = (
  files: ReadonlyArray<string>,
  reasonFor: (line: string) => string | undefined
): ReadonlyArray<string> =>
  files.flatMap((file) =>
    read(file)
      .split("\n")
      .flatMap((line, index) => {
        const reason = reasonFor(line)
        return reason === undefined ? [] : [`${file}:${index + 1} ${reason}`]
      })
  )

describe("tidy source", () => {
  it("keeps source files at 400 lines or fewer", () => {
    const long = code
      .map((file) => ({ file, lineCount: read(file).trimEnd().split("\n").length }))
      .filter(({ file, lineCount }) => /\/src\/|^scripts\//.test(file) && lineCount > 400)
      .map(({ file, lineCount }) => `${file} has ${lineCount} lines`)
    assert.deepStrictEqual(long, [])
  })

  it("keeps lines at 120 columns or fewer", () => {
    assert.deepStrictEqual(
      offences(code, (line) => (line.length > 120 ? `has ${line.length} columns` : undefined)),
      []
    )
  })

  it("wants a reason with every note about work that is left", () => {
    // Put together here, so that this file passes its own test.
    const words = ["to|do", "fix|me", "xx|x", "ha|ck"].map((word) => word.replace("|", "").toUpperCase())
    const note = new RegExp(`\\b(${words.join("|")})\\b(.*)`)
    const isReason = (rest: string): boolean => /^: (\S+ +){3,}\S+/.test(rest)
    assert.deepStrictEqual(
      offences(code, (line) => {
        const found = note.exec(line)
        return found === null || isReason(found[2] ?? "") ? undefined : `${found[1]} without a reason`
      }),
      []
    )
  })

  // Its decoder is kept with it: a schema that is made for each call costs forty times as much as decoding a row.
  it("makes the schema of a statement once", () => {
    const inline = /^(?!\s*\*).*\b(decodeRows|rows|first|rowsAside)\(("\w+", )?Schema\.(?!Unknown)/
    assert.deepStrictEqual(
      offences(
        code.filter((file) => file.includes("/src/")),
        (line) => (inline.test(line) ? "makes a schema for each call" : undefined)
      ),
      []
    )
  })

  it("has no hidden defects and no orphaned fibers in the library", () => {
    const shipped = code.filter((file) => file.startsWith(library))
    assert.deepStrictEqual(
      offences(shipped, (line) => /\b(Effect|Layer)\.orDie\w*|\bforkDaemon\b/.exec(line)?.[0]),
      []
    )
  })
})

describe("tidy names", () => {
  const anywhere = new Set(
    "manager helper helpers util utils utility utilities processor info common core misc new old".split(" ")
  )
  const atTheEnd = new Set("service handler data base live impl layer".split(" "))

  const wordsOf = (name: string): ReadonlyArray<string> =>
    name
      .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
      .toLowerCase()
      .split(/[^a-z0-9]+/)
      .filter((word) => word !== "")

  const vagueWord = (name: string): string | undefined => {
    const words = wordsOf(name)
    const last = words.at(-1) ?? ""
    return words.find((word) => anywhere.has(word)) ?? (atTheEnd.has(last) ? last : undefined)
  }

  it("says what a file or a folder is about", () => {
    const named = code.filter((file) => /^(packages|apps|scripts|test)\//.test(file))
    const vague = named.flatMap((file) => {
      const [, ...parts] = file.split("/")
      const names = parts.map((part) => part.replace(/(\.(test|bench))?\.\w+$/, ""))
      const word = names.map(vagueWord).find((found) => found !== undefined)
      const isHttpHandler = word === "handler" && file.includes("/http/")
      return word === undefined || isHttpHandler ? [] : [`${file} says "${word}"`]
    })
    assert.deepStrictEqual(vague, [])
  })

  it("tests every public module of presence-effect in a file of its name", () => {
    const untested = code
      .filter((file) => file.startsWith(`${library}/`) && /\/[A-Z]\w*\.ts$/.test(file))
      .map((file) => file.replace("/src/", "/test/").replace(/\.ts$/, ".test.ts"))
      .filter((file) => !exists(file))
    assert.deepStrictEqual(untested, [])
  })
})

/** The text without code, which can look like titles or links. */
const prose = (document: string): string => read(document).replace(/^```[\s\S]*?^```/gm, "")

const headings = (document: string): ReadonlyArray<string> => prose(document).match(/^#{1,6} .+$/gm) ?? []

/** What a changeset says becomes a part of the changelog of the package that it names. */
const folderOf = (document: string): string => {
  const name = document.startsWith(".changeset/") ? /^"([\w-]+)": /m.exec(read(document))?.[1] : undefined
  if (name === undefined) return path.posix.dirname(document)
  return name === "presence-effect" ? "packages/presence-effect" : `apps/${name}`
}

const isChangeset = (document: string): boolean => /^\.changeset\/(?!README)/.test(document)

describe("tidy documents", () => {
  /** The name that a heading gets on the usual forges. */
  const anchorOf = (heading: string): string =>
    heading
      .replace(/^#+ /, "")
      .trim()
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/\s/g, "-")

  it("gives every document one title", () => {
    const titleless = documents.flatMap((document) => {
      if (isChangeset(document)) return []
      const titleCount = headings(document).filter((heading) => heading.startsWith("# ")).length
      return titleCount === 1 ? [] : [`${document} has ${titleCount} titles`]
    })
    assert.deepStrictEqual(titleless, [])
  })

  it("links to files and headings that exist", () => {
    const broken = documents.flatMap((document) =>
      [...prose(document).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = ""]) => {
        if (/^[a-z]+:/.test(link)) return []
        const [target = "", anchor] = link.split("#")
        const file = target === "" ? document : path.posix.join(folderOf(document), target)
        const isFound =
          exists(file) &&
          (anchor === undefined || !file.endsWith(".md") || headings(file).map(anchorOf).includes(anchor))
        return isFound ? [] : [`${document} links to ${link}`]
      })
    )
    assert.deepStrictEqual(broken, [])
  })

  it("names scripts that exist", () => {
    const scriptsOf = (manifest: string): ReadonlyArray<string> => Object.keys(JSON.parse(read(manifest)).scripts ?? {})
    const known = new Set(manifests.flatMap(scriptsOf))
    const unknown = documents.flatMap((document) =>
      [...read(document).matchAll(/\bnpm (?:run ([\w:-]+)|(start|test)\b)/g)].flatMap(([, named, short]) => {
        const script = named ?? short ?? ""
        return known.has(script) ? [] : [`${document} names the script ${script}`]
      })
    )
    assert.deepStrictEqual(unknown, [])
  })
})

describe("tidy dependencies", () => {
  it("keeps registry addresses out of the lock file", () => {
    assert.deepStrictEqual(
      offences(["package-lock.json"], (line) => /"resolved": "(https?:[^"]*)"/.exec(line)?.[1]),
      []
    )
  })

  it("has an entry for everything the lock file asks for, other platforms included", () => {
    const { packages } = JSON.parse(read("package-lock.json"))
    const isFound = (folder: string, name: string): boolean => {
      if (packages[path.posix.join(folder, "node_modules", name)] !== undefined) return true
      return folder !== "" && isFound(folder.slice(0, Math.max(0, folder.lastIndexOf("/node_modules/"))), name)
    }
    const missing = Object.entries<Record<string, Record<string, string>>>(packages).flatMap(
      ([folder, { dependencies, optionalDependencies }]) =>
        Object.keys({ ...dependencies, ...optionalDependencies })
          .filter((name) => !isFound(folder, name))
          .map((name) => `${folder} asks for ${name}`)
    )
    assert.deepStrictEqual(missing, [], "npm ci refuses a lock file like this")
  })

  // What a published package depends on ends up in the tree of a host, which must be able to share its own copy.
  it("pins every version exactly, except the dependencies of a published package", () => {
    const loose = manifests.flatMap((manifest) => {
      const {
        dependencies,
        devDependencies,
        optionalDependencies,
        overrides,
        private: isPrivate
      } = JSON.parse(read(manifest))
      const pinned = { ...(isPrivate === true ? dependencies : {}), ...devDependencies, ...optionalDependencies }
      return Object.entries<string>({ ...pinned, ...overrides })
        .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
        .map(([name, version]) => `${manifest} asks for ${name} ${version}`)
    })
    assert.deepStrictEqual(loose, [])
  })

  it("ships the license of the repository", () => {
    assert.strictEqual(read("packages/presence-effect/LICENSE"), read("LICENSE"))
  })
})
