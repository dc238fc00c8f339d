/**
 * The fenced blocks of a document: what a reader pastes, and what is shown as the answer.
 */
import fs from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../../../", import.meta.url))

export interface DocumentBlock {
  /** From the root of the repository. */
  readonly document: string
  readonly line: number
  /** The title of the section it is in. */
  readonly section: string
  readonly language: string
  readonly text: string
  /** The block of the language `text` that follows at once: what the commands print. */
  readonly shown: string | undefined
}

/** The whole text of a document. */
export const textOf = (document: string): string => fs.readFileSync(`${root}${document}`, "utf8")

/** Blocks in the order of the document. Those that show an answer belong to the block before them. */
export const of = (document: string): ReadonlyArray<DocumentBlock> => {
  const text = textOf(document)
  const fences = Array.from(
    text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm),
    ({ 0: whole, 1: language, 2: body, index }) => ({
      language: language ?? "",
      body: (body ?? "").trimEnd(),
      from: index,
      to: index + whole.length
    })
  )
  return fences.flatMap(({ body, from, language, to }, index) => {
    const before = fences[index - 1]
    const isShown = language === "text" && before !== undefined && text.slice(before.to, from).trim() === ""
    if (isShown) return []
    const next = fences[index + 1]
    const isFollowed = next?.language === "text" && text.slice(to, next.from).trim() === ""
    const above = text.slice(0, from)
    const line = above.split("\n").length
    const section =
      above
        .replaceAll(/^```[\s\S]*?^```$/gm, "")
        .match(/^#+ .+$/gm)
        ?.at(-1)
        ?.replace(/^#+ /, "") ?? ""
    return [{ document, line, section, language, text: body, shown: isFollowed ? next.body : undefined }]
  })
}

/** Commands in the prose, between backticks. */
export const inlineCommands = (document: string, program: RegExp): ReadonlyArray<string> =>
  Array.from(
    textOf(document)
      .replace(/^```[\s\S]*?^```$/gm, "")
      .matchAll(/`([^`\n]+(?:\n[^`\n]+)?)`/g),
    ([, code = ""]) => code.replace(/\s+/g, " ")
  ).filter((code) => program.test(code))

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")

/** What is shown as a pattern: `…` stands for anything in a line, and alone in a line for any number of lines. */
const patternOf = (shown: string): RegExp => {
  const lines = shown
    .split("\n")
    .map((line) => (line.trim() === "…" ? "(?:[^\\n]*\\n)*?" : `${line.split("…").map(escaped).join("[^\\n]*?")}\\n`))
  return new RegExp(`^${lines.join("")}$`)
}

/** Why what was printed is not what is shown; `undefined` where it is. */
export const difference = (shown: string, printed: string): string | undefined =>
  patternOf(shown).test(`${printed.trimEnd()}\n`) ? undefined : `shown:\n${shown}\nprinted:\n${printed}`

/**
 * The command lines that a line of usage stands for: without what it has in brackets, and with all of it. Throws for a
 * placeholder that has no value.
 */
export const usages = (
  line: string,
  values: { readonly [placeholder: string]: string } = {}
): ReadonlyArray<string> => {
  const filled = line.replace(/<([a-z][a-z ]*)>/g, (_, name: string) => {
    const value = values[name]
    if (value === undefined) throw new Error(`<${name}> has no value in ${line}`)
    return value
  })
  const short = filled.replaceAll(/ \[[^\]]*\]/g, "")
  return [...new Set([short, filled.replaceAll(/[[\]]/g, "")])]
}
