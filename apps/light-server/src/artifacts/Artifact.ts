/** An artifact: its row, and what clients see of it. */
import { Schema } from "effect"
import { StoredTime } from "../database/StoredTime.ts"

/** Id of an artifact. The client made it. */
export const ArtifactId = Schema.String.pipe(
  Schema.pattern(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i)
)

/** Schema of a row. */
export const Artifact = Schema.Struct({
  id: Schema.String,
  header: Schema.Uint8ArrayFromSelf,
  headerVersion: Schema.Int,
  dataEncryptionKey: Schema.Uint8ArrayFromSelf,
  seq: Schema.Int,
  createdAt: StoredTime,
  updatedAt: StoredTime,
  accountId: Schema.String,
  body: Schema.Uint8ArrayFromSelf,
  bodyVersion: Schema.Int
})

export type Artifact = typeof Artifact.Type

/** The two parts of an artifact that change under compare-and-set. */
export interface PartChange {
  readonly data: Uint8Array
  readonly expectedVersion: number
}

/** At least one of both. */
export interface ArtifactChange {
  readonly header?: PartChange | undefined
  readonly body?: PartChange | undefined
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64")

export const view = (artifact: Artifact) => ({
  id: artifact.id,
  header: base64(artifact.header),
  headerVersion: artifact.headerVersion,
  body: base64(artifact.body),
  bodyVersion: artifact.bodyVersion,
  dataEncryptionKey: base64(artifact.dataEncryptionKey),
  seq: artifact.seq,
  createdAt: artifact.createdAt,
  updatedAt: artifact.updatedAt
})

/** As acks show it: clients of sockets have the key already. */
export const viewWithoutKey = (artifact: Artifact) => {
  const { dataEncryptionKey: _, ...shown } = view(artifact)
  return shown
}

/** Body of the update `new-artifact`. */
export const newArtifact = (artifact: Artifact) => {
  const { id: artifactId, ...shown } = view(artifact)
  return { t: "new-artifact", artifactId, ...shown }
}

/** Body of the update `update-artifact`. A part that did not change is absent. */
export const updateArtifact = (id: string, { body, header }: ArtifactChange) => {
  const part = ({ data, expectedVersion }: PartChange) => ({ value: base64(data), version: expectedVersion + 1 })
  return {
    t: "update-artifact",
    artifactId: id,
    ...(header === undefined ? {} : { header: part(header) }),
    ...(body === undefined ? {} : { body: part(body) })
  }
}
