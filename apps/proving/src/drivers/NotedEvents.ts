/**
 * A registry of events that records its registrations. The real one has no
 * method to list them, because only a test of completeness needs it.
 */
import { Effect, Layer, type Schema } from "effect"
import type * as EventRegistry from "light-server/src/realtime/events/EventRegistry"

type Module = typeof EventRegistry

/** What `vi.mock` puts in the place of the module; `note` gets the schema of the payload where there is one. */
export const inPlaceOf = (
  original: Module,
  note: (event: string, payload?: Schema.Schema.AnyNoContext) => void
): Module => {
  const noting = Effect.map(original.make, ({ find, on, onPlain }) =>
    original.EventRegistry.of({
      find,
      on: (spec) => {
        note(spec.event, spec.payload)
        return on(spec)
      },
      onPlain: (...args) => {
        note(args[0])
        return onPlain(...args)
      }
    })
  )
  return { ...original, layer: Layer.effect(original.EventRegistry, noting) }
}
