/** The command line options of the simulation. */
import { parseArgs } from "node:util"
import * as Mutant from "./Mutant.ts"
import { replicaMutants } from "./replicas/ReplicaMutant.ts"

export interface Options {
  /** Run this seed alone, with a trace. */
  readonly seed: number | undefined
  readonly from: number
  readonly seeds: number
  readonly mutant: Mutant.Mutant | undefined
  /** One process and its file, or several replicas over one database. */
  readonly world: "file" | "replicas"
  /** One line of JSON at the end, for programs. */
  readonly isJson: boolean
}

export const usage = `usage: npm run prove -- simulation [options]
  --seeds N       how many seeds to run (default 1000)
  --from N        the first of them (default: a new one each time)
  --seed N        one seed, with a trace of everything that happens
  --world NAME    file, one process and its file (default), or replicas, three processes over one database
  --mutant NAME   plant a bug first: ${Mutant.mutants.map(({ name }) => name).join(", ")};
                  in the world of replicas: ${replicaMutants.map(({ name }) => name).join(", ")}
  --json          the result as one line of JSON
`

const seedMax = 2 ** 32 - 1

const wholeOf = (name: string, text: string, min: number): number => {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < min || value > seedMax) {
    throw new TypeError(`--${name} must be a whole number from ${min} to ${seedMax}, got ${text}`)
  }
  return value
}

/** Throws a `TypeError` that describes the invalid option. */
export const parse = (args: ReadonlyArray<string>): Options => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: "string" },
      seeds: { type: "string", default: "1000" },
      from: { type: "string", default: String(Math.floor(Math.random() * 2 ** 32)) },
      mutant: { type: "string" },
      world: { type: "string" },
      json: { type: "boolean", default: false }
    }
  })
  const mutant =
    values.mutant === undefined
      ? undefined
      : (Mutant.find(values.mutant) ?? replicaMutants.find(({ name }) => name === values.mutant))
  if (values.mutant !== undefined && mutant === undefined) throw new TypeError(`no mutant is called ${values.mutant}`)
  const world = values.world ?? mutant?.world ?? "file"
  if (world !== "file" && world !== "replicas") throw new TypeError(`--world must be file or replicas, got ${world}`)
  return {
    world,
    seed: values.seed === undefined ? undefined : wholeOf("seed", values.seed, 0),
    from: wholeOf("from", values.from, 0),
    seeds: wholeOf("seeds", values.seeds, 1),
    mutant,
    isJson: values.json
  }
}
