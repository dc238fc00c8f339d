/**
 * Effect schemas as the schemas of routes.
 *
 * `schema: { body: Machine }` makes `request.body` a decoded `Machine`; a body
 * that does not fit is refused before the handler runs.
 */
import { Either, ParseResult, Schema } from "effect"
import type { FastifySchemaCompiler, FastifyTypeProvider } from "fastify"

/** Types `body`, `params` and `querystring` of a request by their schemas. */
export interface EffectTypes extends FastifyTypeProvider {
  readonly validator: this["schema"] extends Schema.Schema<infer A, infer _I, never> ? A : unknown
  readonly serializer: unknown
}

/**
 * A part of the request that does not fit its schema. The message names the
 * part and the field, and never the value: it may be a secret.
 */
export class SchemaMismatch extends Error {
  readonly statusCode = 400
  readonly code = "SCHEMA_MISMATCH"
}

const describe = (part: string, error: ParseResult.ParseError): string => {
  const issue = ParseResult.ArrayFormatter.formatErrorSync(error)[0]
  if (issue === undefined) return `${part} is invalid`
  const place = [part, ...issue.path.map(String)].join("/")
  switch (issue._tag) {
    case "Missing":
      return `${place} is required`
    case "Unexpected":
      return `${place} is not known`
    case "Transformation":
      return `${place} cannot be read`
    default:
      return `${place} ${issue.message.replace(/,? actual .*$/s, "")}`
  }
}

export const compile: FastifySchemaCompiler<unknown> = ({ schema, httpPart, url }) => {
  if (!Schema.isSchema(schema)) throw new TypeError(`the schema of ${url} is no Effect schema`)
  const decode = Schema.decodeUnknownEither(schema as Schema.Schema<unknown, unknown>)
  return (part: unknown) =>
    Either.match(decode(part), {
      onLeft: (error) => ({ error: new SchemaMismatch(describe(httpPart ?? "request", error)) }),
      onRight: (value) => ({ value })
    })
}
