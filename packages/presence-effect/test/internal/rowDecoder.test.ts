import { assert, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { rowDecoder } from "../../src/internal/rowDecoder.ts"

const Row = Schema.Struct({ id: Schema.String })

it("rowDecoder keeps the decoder of a schema, and tells schemas apart", () => {
  assert.strictEqual(rowDecoder(Row), rowDecoder(Row))
  assert.deepStrictEqual(rowDecoder(Row)([{ id: "a" }]), Either.right([{ id: "a" }]))
  assert.isTrue(Either.isLeft(rowDecoder(Row)([{ id: 1 }])))
  assert.isTrue(Either.isRight(rowDecoder(Schema.Struct({ id: Schema.Number }))([{ id: 1 }])))
})
