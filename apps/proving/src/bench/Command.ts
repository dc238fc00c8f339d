/** The arguments of `npm run bench`, read into a value. */
import * as fs from "node:fs"
import { parseArgs } from "node:util"
import * as Target from "./Target.ts"

export interface Command {
  readonly targets: ReadonlyArray<Target.Target>
  readonly jsonFile: string | undefined
  readonly markdownFile: string | undefined
  /** A missed target is a failure. */
  readonly isCheck: boolean
}

export type Request =
  | { readonly _tag: "Run"; readonly command: Command }
  | { readonly _tag: "Help" }
  | { readonly _tag: "Misuse"; readonly problem: string }

const known = new Map([...Target.all, ...Target.scale].map((target) => [target.id, target]))

export const usage = `usage: npm run bench [-- [target ...] [options]]

  target         ${Target.all[0]?.id} to ${Target.all.at(-1)?.id}; all of them unless given
  --json <file>  also write the results as JSON
  --markdown <file>
                 also write the table of README.md
  --check        end with code 1 when a target is missed
  --scale        measure how cost grows instead (${Target.scale.map(({ id }) => id).join(", ")})
  --help         print this

${[...known.values()].map(({ id, question }) => `  ${id.padEnd(4)} ${question}`).join("\n")}
`

/** Checked before anything is measured: minutes later it would be too late. */
const isWritable = (file: string): boolean => {
  try {
    fs.closeSync(fs.openSync(file, "a"))
    return true
  } catch {
    return false
  }
}

export const parse = (args: ReadonlyArray<string>): Request => {
  try {
    const { positionals, values } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        json: { type: "string" },
        markdown: { type: "string" },
        check: { type: "boolean", default: false },
        scale: { type: "boolean", default: false },
        help: { type: "boolean", default: false }
      }
    })
    if (values.help) return { _tag: "Help" }
    for (const option of ["json", "markdown"] as const) {
      const file = values[option]
      if (file === undefined || isWritable(file)) continue
      return { _tag: "Misuse", problem: `--${option} needs a file that can be written, not "${file}"` }
    }
    const unknown = positionals.filter((id) => !known.has(id))
    if (unknown.length > 0) {
      const ids = [...known.keys()].join(", ")
      return { _tag: "Misuse", problem: `no target is called ${unknown.join(", ")}; there are ${ids}` }
    }
    const asked = new Set(positionals)
    const given = [...known.values()].filter(({ id }) => asked.has(id))
    const targets = given.length > 0 ? given : values.scale ? Target.scale : Target.all
    return {
      _tag: "Run",
      command: { targets, jsonFile: values.json, markdownFile: values.markdown, isCheck: values.check }
    }
  } catch (cause) {
    if (cause instanceof TypeError) return { _tag: "Misuse", problem: cause.message }
    throw cause
  }
}
