/** The span of a caller, which it names in the header `traceparent` of W3C Trace Context. */
import { Context, type Tracer } from "effect"

/** Reads the header; `undefined` for one that is malformed, and while no traces are exported. */
export class RemoteParent extends Context.Reference<RemoteParent>()("light-server/RemoteParent", {
  defaultValue:
    () =>
    (_traceparent: string): Tracer.ExternalSpan | undefined =>
      undefined
}) {}
