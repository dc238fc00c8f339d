/** Parts that many shapes share, and the errors that many routes share. */
import { Schema } from "effect"

const { Literal, NonNegativeInt, NullOr, Number, String, Struct, Union } = Schema

/** Epoch milliseconds: no seconds, no fraction, no text. */
export const Millis = Schema.Int.pipe(Schema.between(1_600_000_000_000, 9_999_999_999_999))
export const Iso = String.pipe(Schema.pattern(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/))
export const Cuid = String.pipe(Schema.pattern(/^c[0-9a-z]{24}$/))
export const MachineId = String.pipe(Schema.pattern(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/))
export const UpdateId = String.pipe(Schema.pattern(/^[0-9A-Za-z]{12}$/))
/** No group repeats: one that does overflows the stack on a text of megabytes. */
export const Base64 = String.pipe(Schema.filter((text) => text.length % 4 === 0 && /^[0-9A-Za-z+/]*={0,2}$/.test(text)))
export const Cursor = Schema.Int.pipe(Schema.positive())
export const Version = NonNegativeInt
export const Amounts = Schema.Record({ key: String, value: Number })
export const Valued = Struct({ value: NullOr(String), version: Version })

/** An error whose text clients compare. */
export const says = (error: string, ...more: ReadonlyArray<string>) => Struct({ error: Literal(error, ...more) })
export const Mismatched = <A, I>(status: Schema.Schema<A, I>) =>
  Struct({ error: Literal("Error"), message: String, statusCode: status })
/** Names the part of the request and the field. */
export const BadRequest = Struct({
  error: Literal("Error"),
  message: String.pipe(Schema.pattern(/^(body|querystring|params)/)),
  statusCode: Literal(400)
})
export const BadJson = Struct({ error: Literal("SyntaxError"), message: String, statusCode: Literal(400) })
export const TooLarge = Mismatched(Literal(413))
export const BadMedia = Mismatched(Literal(415))
export const NoRoute = Struct({ error: Literal("Not found"), path: String, method: String })
export const InvalidParameters = says("Invalid parameters")
export const SessionNotFound = says("Session not found")
/** Nothing is wrong with the request; it can succeed later. */
export const Later = Struct({
  error: String,
  code: String,
  retryable: Literal(true),
  retryAfterMs: Schema.Int.pipe(Schema.positive())
})
export const Done = Struct({ success: Literal(true) })
/** A refusal by a schema, or by the handler itself. */
export const Invalid = Union(BadRequest, InvalidParameters)
