/**
 * The parser of JSON bodies: the limits of a body before its schema is checked.
 *
 * The work is linear in the length of the body and never recursive, so that no
 * body costs more than its bytes.
 */
import type { FastifyInstance, FastifyRequest } from "fastify"
import { depthMax, isSound } from "../SoundValue.ts"

/** A body that cannot be read. The message never repeats what the body holds. */
export class JsonBodyError extends Error {
  readonly statusCode = 400
  readonly code: "BODY_SYNTAX" | "BODY_CONTENT"
  constructor(code: JsonBodyError["code"], message: string) {
    super(message)
    this.code = code
  }
}

const quote = 34
const backslash = 92

/** Index of the quote that closes the string which starts at `from`, or the length of the JSON if it is not closed. */
const endOfText = (json: string, from: number): number => {
  for (let at = json.indexOf('"', from + 1); at !== -1; at = json.indexOf('"', at + 1)) {
    let escapes = 0
    while (json.charCodeAt(at - 1 - escapes) === backslash) escapes += 1
    if (escapes % 2 === 0) return at
  }
  return json.length
}

/** Whether arrays and objects are nested deeper than `max`. Ends at the first place where they are. */
export const isDeeperThan = (json: string, max: number): boolean => {
  let depth = 0
  for (let at = 0; at < json.length; at++) {
    const character = json.charCodeAt(at)
    if (character === quote) at = endOfText(json, at)
    // "[" and "{", "]" and "}": no other characters of JSON outside of strings.
    else if (character === 91 || character === 123) {
      depth += 1
      if (depth > max) return true
    } else if (character === 93 || character === 125) depth -= 1
  }
  return false
}

/** Bytes that are decoded as UTF-8 contain no unpaired surrogate: only an escape can. */
const mayHoldHalfPair = (json: string): boolean => /\\ud[89a-f]/i.test(json)

type Done = (error: Error | null, body?: unknown) => void

/**
 * Adds the parser to the instance.
 *
 * An empty body that is labelled as JSON is no body for GET and DELETE, and
 * `{}` for other methods: clients send the header without a body.
 */
export const add = (fastify: FastifyInstance): void => {
  const parse = fastify.getDefaultJsonParser("error", "error")
  const read = (request: FastifyRequest, json: string, done: Done) => {
    if (json.trim() === "") return done(null, /^(GET|HEAD|DELETE)$/.test(request.method) ? undefined : {})
    if (isDeeperThan(json, depthMax)) {
      return done(new JsonBodyError("BODY_CONTENT", `body is nested deeper than ${depthMax} levels`))
    }
    parse(request, json, (error, body) => {
      if (error) return done(new JsonBodyError("BODY_SYNTAX", "body is not valid JSON"))
      if (mayHoldHalfPair(json) && !isSound(body)) {
        return done(new JsonBodyError("BODY_CONTENT", "body holds a text that is not valid Unicode"))
      }
      done(null, body)
    })
  }
  fastify.removeContentTypeParser("application/json")
  fastify.addContentTypeParser<string>("application/json", { parseAs: "string" }, read)
}
