/**
 * Effect schemas as the schemas of routes.
 *
 * `schema: { body: Machine }` makes `request.body` a decoded `Machine`; a body
 * that does not fit is refused before the handler runs.
 */
import { Either, Option, type ParseResult, Schema, SchemaAST } from "effect"
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

/** Expectations are written in our schemas, so their length is bounded; some unions are long. */
const expectationMax = 200

/** What a schema expects, as text. Never asks the schema for its message: that would print the value. */
const expected = (words: string): string =>
  `Expected ${words.length <= expectationMax ? words : `${words.slice(0, expectationMax)}…`}`

/** The first problem: which part of the request, where in it, and what is expected there. */
const describe = (part: string, issue: ParseResult.ParseIssue, path: ReadonlyArray<PropertyKey> = []): string => {
  const place = [part, ...path.map(String)].join("/").slice(0, expectationMax)
  switch (issue._tag) {
    case "Pointer":
      return describe(part, issue.issue, [...path, ...[issue.path].flat()])
    case "Missing":
      return `${place} is required`
    case "Unexpected":
      return `${place} is not known`
    case "Composite": {
      const [first] = [issue.issues].flat()
      return first === undefined ? `${place} is invalid` : describe(part, first, path)
    }
    case "Refinement":
      return issue.kind === "From" ? describe(part, issue.issue, path) : `${place} ${refused(issue)}`
    case "Transformation":
      return issue.kind === "Transformation" ? `${place} cannot be read` : describe(part, issue.issue, path)
    case "Type":
      return `${place} ${expected(String(issue.ast))}`
    case "Forbidden":
      return `${place} is not allowed`
  }
}

/** A filter with a description of its own is one of ours and does not contain the value. */
const refused = ({ ast, issue }: ParseResult.Refinement): string =>
  issue._tag === "Type" && issue.message !== undefined
    ? issue.message
    : expected(Option.getOrElse(SchemaAST.getDescriptionAnnotation(ast), () => String(ast)))

export const compile: FastifySchemaCompiler<unknown> = ({ schema, httpPart, url }) => {
  if (!Schema.isSchema(schema)) throw new TypeError(`the schema of ${url} is no Effect schema`)
  const decode = Schema.decodeUnknownEither(schema as Schema.Schema<unknown, unknown>)
  return (part: unknown) =>
    Either.match(decode(part), {
      onLeft: (error) => ({ error: new SchemaMismatch(describe(httpPart ?? "request", error.issue)) }),
      onRight: (value) => ({ value })
    })
}
