import * as Effect from "effect/Effect"
import type { Lane } from "../Lane.ts"
import type { Write } from "../Write.ts"
import { WriteRejected } from "../WriterError.ts"

/** Why a value cannot be bound. Types exclude it too, but a value may come from untyped code. */
const misfit = (value: unknown): string | undefined => {
  switch (typeof value) {
    case "string":
    case "bigint":
      return undefined
    case "number":
      return Number.isNaN(value) ? "NaN, which would be stored as NULL" : undefined
    case "undefined":
      return "undefined: use null"
    default:
      return value === null || value instanceof Uint8Array ? undefined : `a ${typeof value}`
  }
}

/** Refuses a write by itself, before it waits: in a group its parameter would fail the writes beside it. */
export const demandBindable = (lane: Lane, { statements }: Write<unknown>): Effect.Effect<void, WriteRejected> => {
  for (const [index, { params }] of statements.entries()) {
    for (const [position, value] of params.entries()) {
      const reason = misfit(value)
      if (reason === undefined) continue
      const detail = `parameter ${position + 1} of statement ${index} is ${reason}`
      return Effect.fail(new WriteRejected({ lane, code: "PARAMETER", detail }))
    }
  }
  return Effect.void
}
