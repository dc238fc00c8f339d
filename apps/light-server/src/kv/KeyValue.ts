/** A key-value pair of an account, and the mutations that change it. */
import { Schema } from "effect"

/** Schema of a row. `null`: the value was deleted, and its version goes on. */
export const KeyValue = Schema.Struct({
  key: Schema.String,
  value: Schema.NullOr(Schema.Uint8ArrayFromSelf),
  version: Schema.Int
})

export type KeyValue = typeof KeyValue.Type

export const Key = Schema.String.pipe(Schema.minLength(1), Schema.maxLength(512))

/** The version that a key must have before it was ever written. */
export const never = -1

export interface Mutation {
  readonly key: string
  readonly value: Uint8Array | null
  /** The version that the key must have now. */
  readonly version: number
}

export interface KeyVersion {
  readonly key: string
  readonly version: number
}

/** The versions after the mutations. */
export const versionsOf = (mutations: ReadonlyArray<Mutation>): ReadonlyArray<KeyVersion> =>
  mutations.map(({ key, version }) => ({ key, version: version + 1 }))

const base64OrNull = (value: Uint8Array | null) => (value === null ? null : Buffer.from(value).toString("base64"))

export const view = ({ key, value, version }: KeyValue) => ({ key, value: base64OrNull(value), version })

/** Body of the update `kv-batch-update`. */
export const batchUpdate = (mutations: ReadonlyArray<Mutation>) => ({
  t: "kv-batch-update",
  changes: mutations.map(({ key, value, version }) => view({ key, value, version: version + 1 }))
})

const isEqual = (one: Uint8Array | null, other: Uint8Array | null) =>
  one === null || other === null ? one === other : Buffer.compare(one, other) === 0

/** Whether a pair is the result of the mutation. */
export const isResult = (mutation: Mutation, stored: KeyValue | undefined): boolean =>
  stored !== undefined && stored.version === mutation.version + 1 && isEqual(stored.value, mutation.value)
