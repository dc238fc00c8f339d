/** Words and phrases that comments and Markdown of this repository avoid, and where they occur. */
import { isCode } from "./sources.ts"

interface Phrase {
  /** A space stands for any white space, the end of a line included. */
  readonly pattern: string
  readonly instead: string
}

/** The one list. Each entry is wrong in every sentence, so that the test has no exceptions. */
const phrases: ReadonlyArray<Phrase> = [
  { pattern: "whoever", instead: '"the caller", "a client that ...", "any process that ..."' },
  { pattern: "(?:for|to|from|by|with) who", instead: '"for the caller that ..."' },
  {
    pattern: "who (?:asks|reads|waits|writes|calls|comes|sends|looks|listens|sleeps|removes|starts|hangs)",
    instead: '"a caller that ...", "a client that ..."'
  },
  { pattern: "(?:caller|client|host|row|fiber|process|server|reader|writer) who", instead: '"... that"' },
  { pattern: "looks? whether", instead: '"checks whether"' },
  { pattern: "(?:tells?|told) of", instead: '"reports", "announces"' },
  { pattern: "(?:tells?|waits? for|keeps) nobody", instead: "what happens, with the thing as the subject" },
  { pattern: "nobody (?:knows|hears|believes|looks)", instead: '"it is unknown whether", "is not read"' },
  { pattern: "(?<!there )(?:is|are) none(?= *(?:[.,;:)]|$))", instead: '"is not a ...", "is invalid"' },
  { pattern: "(?:fails|waits|throws|rejects|ends|settles) never", instead: '"never fails", and so on' },
  { pattern: "but for", instead: '"except for"' },
  { pattern: "rises? from the dead", instead: '"becomes active again"' },
  { pattern: "would not bear", instead: '"would violate"' },
  { pattern: "thrice", instead: '"three times"' },
  { pattern: "(?:heeds?|heeded)", instead: '"observes", "respects"' },
  { pattern: "reckon(?:s|ed|ing)?", instead: '"calculate", "estimate"' },
  { pattern: "(?:ought|nought|aught)", instead: '"should", "nothing", "anything"' },
  { pattern: "(?:hopeless|obedient)", instead: '"permanent", "default"' },
  { pattern: "(?:a|no) hole", instead: '"a vulnerability", "a gap"' }
]

const matchers = phrases.map(({ instead, pattern }) => ({
  instead,
  regExp: new RegExp(`(?<![\\w-])${pattern.replaceAll(/ (?![*])/g, "\\s+")}(?![\\w-])`, "gim")
}))

const blanked = (text: string): string => text.replaceAll(/[^\n]/g, " ")

/** Markdown without code, in lines of the same number. */
const proseOf = (markdown: string): string =>
  markdown.replaceAll(/^ *```[\s\S]*?^ *```/gm, blanked).replaceAll(/`[^`\n]+`/g, "`")

/** The comments of a source file, in lines of the same number. */
const commentsOf = (code: string): string =>
  code
    .split("\n")
    .map((line) => {
      const found = /^\s*(?:\/\*\*?|\*(?!\/)|\/\/)(.*)$|\s\/\/ (.*)$/.exec(line)
      return (found?.[1] ?? found?.[2] ?? "").replace(/\*\/\s*$/, "").replaceAll(/`[^`]+`/g, "`")
    })
    .join("\n")

/** `file:line "found": instead`, for each phrase of the list in the comments or the prose of a file. */
export const offences = (file: string, text: string): ReadonlyArray<string> => {
  const prose = isCode(file) ? commentsOf(text) : proseOf(text)
  return matchers.flatMap(({ instead, regExp }) =>
    [...prose.matchAll(regExp)].map((match) => {
      const line = prose.slice(0, match.index).split("\n").length
      return `${file}:${line} "${match[0].replaceAll(/\s+/g, " ")}": write ${instead}`
    })
  )
}
