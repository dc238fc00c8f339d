/** Every setting with its value, for people and programs, and the schema of the file. */
import type { Knob } from "../ConfigKnob.ts"
import type { Sources } from "./ConfigSources.ts"
import { textOf } from "./Environment.ts"

export interface Setting {
  readonly name: string
  /** As it is written in the environment; empty: unset, and without a default. */
  readonly value: string
  readonly unit: string
  /** `argument`, `environment`, `file <path>` or `default`. */
  readonly origin: string
}

const redacted = "<redacted>"

/** The value of a setting as it was given, under the first of its names that is set. */
export const settingOf = (knob: Knob<unknown>, { environment, originOf }: Sources): Setting => {
  const name = [knob.name, ...knob.aliases].find((candidate) => textOf(environment, candidate) !== undefined)
  const text = name === undefined ? knob.fallbackText : (textOf(environment, name) ?? "")
  return {
    name: name ?? knob.name,
    // Addresses with passwords are secrets too.
    value: text !== "" && knob.isSecret ? redacted : text.replace(/\/\/[^/@]*@/, "//***@"),
    unit: knob.unit,
    origin: name === undefined ? "default" : (originOf(name) ?? "environment")
  }
}

/** JSON Schema of the file, for editors. */
export const schemaOf = (knobs: ReadonlyArray<Knob<unknown>>) => ({
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "Configuration of the light server",
  type: "object",
  additionalProperties: false,
  properties: Object.fromEntries(
    knobs.flatMap(({ aliases, allowed, fallbackText, meaning, name }) =>
      [name, ...aliases].map((key) => [
        key,
        {
          description: `${meaning} Allowed: ${allowed}.`,
          type: ["string", "integer", "boolean", "array"],
          items: { type: "string" },
          ...(fallbackText === "" ? {} : { default: fallbackText })
        }
      ])
    )
  )
})
