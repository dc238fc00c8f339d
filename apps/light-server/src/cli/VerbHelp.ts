/** What `--help` of a command says besides its options: examples and exit codes. */

/** What an exit code means, wherever it occurs. */
const meanings = {
  0: "done",
  1: "failed in a way that has no code of its own",
  2: "the arguments mean nothing",
  3: "the configuration cannot be used",
  4: "the directory, the secret or the database cannot be used",
  5: "the schema of the database does not fit",
  6: "a server uses the database",
  75: "something else is in the way for now; trying again may help"
} as const

export type Code = keyof typeof meanings

export interface Help {
  /** Lines as they are typed, without the name of the program. */
  readonly examples: ReadonlyArray<string>
  /** Besides 0 and 2. A text replaces what the code means in general. */
  readonly codes: ReadonlyArray<Code | readonly [code: Code, meaning: string]>
  /** A paragraph before the examples. */
  readonly notes?: string
}

export const render = (program: string, { codes, examples, notes }: Help): string => {
  const told = new Map<Code, string>([
    [0, meanings[0]],
    [2, meanings[2]]
  ])
  for (const entry of codes) {
    const [code, meaning] = typeof entry === "number" ? [entry, meanings[entry]] : entry
    told.set(code, meaning)
  }
  const lines = Array.from(told)
    .toSorted(([a], [b]) => a - b)
    .map(([code, meaning]) => `  ${String(code).padStart(2)}  ${meaning}`)
  return [
    ...(notes === undefined ? [] : ["", notes]),
    "",
    "Examples:",
    ...examples.map((line) => `  ${program} ${line}`.trimEnd()),
    "",
    "Exit codes:",
    ...lines,
    ""
  ].join("\n")
}
