/** Assertions of the contract suites, on those of Node: the suites run under any test runner. */
import * as assert from "node:assert/strict"
import { inspect, isDeepStrictEqual } from "node:util"

export { deepStrictEqual, match, notDeepStrictEqual, notStrictEqual, ok, strictEqual } from "node:assert/strict"

/** `actual` has all fields of `expected`, with equal values. */
export const deepInclude = (actual: unknown, expected: { readonly [name: string]: unknown }): void => {
  const fields = Object(actual) as { readonly [name: string]: unknown }
  const found = Object.fromEntries(Object.keys(expected).map((name) => [name, fields[name]]))
  if (!isDeepStrictEqual(found, expected))
    assert.deepStrictEqual(actual, expected, `${inspect(actual)} has other fields`)
}

export const include = (text: string, part: string): void =>
  assert.ok(text.includes(part), `${inspect(text)} does not contain ${inspect(part)}`)

export const isAbove = (actual: number, limit: number): void =>
  assert.ok(actual > limit, `${actual} is not above ${limit}`)

export const isAtMost = (actual: number, limit: number): void =>
  assert.ok(actual <= limit, `${actual} is above ${limit}`)
