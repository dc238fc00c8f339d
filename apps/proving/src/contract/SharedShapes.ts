/** What the devices of an account share: answers and acks. */
import { Schema } from "effect"
import { Millis, Cuid, MachineId, Base64, Cursor, Version, says } from "./Words.ts"

const { Array: List, Literal, NonNegativeInt, Null, NullOr, String, Struct, Union } = Schema

export const PushTokens = Struct({
  tokens: List(Struct({ id: Cuid, token: Schema.NonEmptyString, createdAt: Millis, updatedAt: Millis }))
})
const Vendor = Literal("openai", "anthropic", "gemini")
export const VendorToken = Struct({ token: NullOr(String) })
export const VendorTokens = Struct({ tokens: List(Struct({ vendor: Vendor, token: String })) })
export const NotConnected = says("Not connected")
export const NoGitHub = says("GitHub OAuth not configured")

/** The digest of a token. */
const DeviceId = String.pipe(Schema.pattern(/^[0-9A-Za-z_-]{43}$/))
const DeviceConnection = Union(
  Struct({ type: Literal("user-scoped") }),
  Struct({ type: Literal("session-scoped"), sessionId: Cuid }),
  Struct({ type: Literal("machine-scoped"), machineId: MachineId })
)
export const Devices = Struct({
  devices: List(
    Struct({
      id: DeviceId,
      client: NullOr(String),
      firstSeenAt: Millis,
      lastSeenAt: Millis,
      connections: List(DeviceConnection),
      isCurrent: Schema.Boolean
    })
  )
})
const Amounts = Struct({ bytes: NonNegativeInt, rows: NonNegativeInt })
export const Storage = Struct({ ...Amounts.fields, quota: NullOr(Amounts) })
export const NoDevice = says("Device not found")

const artifactHead = {
  id: MachineId,
  header: Base64,
  headerVersion: Cursor,
  dataEncryptionKey: Base64,
  seq: NonNegativeInt,
  createdAt: Millis,
  updatedAt: Millis
}
const artifact = { ...artifactHead, body: Base64, bodyVersion: Cursor }
const { dataEncryptionKey: _artifactKey, ...artifactWithoutKey } = artifact
export const Artifacts = List(Struct(artifactHead))
export const OneArtifact = Struct(artifact)
export const NoArtifact = says("Artifact not found")
export const ArtifactConflict = says("Artifact with this ID already exists for another account")
export const ArtifactReplaced = Union(
  Struct({
    success: Literal(true),
    headerVersion: Schema.optional(Cursor),
    bodyVersion: Schema.optional(Cursor)
  }),
  Struct({
    success: Literal(false),
    error: Literal("version-mismatch"),
    currentHeaderVersion: Schema.optional(Cursor),
    currentHeader: Schema.optional(Base64),
    currentBodyVersion: Schema.optional(Cursor),
    currentBody: Schema.optional(Base64)
  })
)
const artifactError = Struct({
  result: Literal("error"),
  message: Literal(
    "Invalid parameters",
    "No updates provided",
    "Invalid header parameters",
    "Invalid body parameters",
    "Artifact not found",
    "Artifact already exists",
    "Internal error"
  )
})
export const ArtifactAck = {
  success: Struct({ result: Literal("success"), artifact: Struct(artifactWithoutKey) }),
  error: artifactError
}
export const ArtifactUpdateAck = {
  success: Struct({
    result: Literal("success"),
    header: Schema.optional(Struct({ version: Cursor, data: Base64 })),
    body: Schema.optional(Struct({ version: Cursor, data: Base64 }))
  }),
  "version-mismatch": Struct({
    result: Literal("version-mismatch"),
    header: Schema.optional(Struct({ currentVersion: Cursor, currentData: Base64 })),
    body: Schema.optional(Struct({ currentVersion: Cursor, currentData: Base64 }))
  }),
  error: artifactError
}
export const ArtifactDeleteAck = { success: Struct({ result: Literal("success") }), error: artifactError }

const KeyValue = Struct({ key: Schema.NonEmptyString, value: Base64, version: Version })
const KeyVersion = Schema.Int.pipe(Schema.greaterThanOrEqualTo(-1))
export const OneKeyValue = KeyValue
export const NoKey = says("Key not found")
export const KeyValueList = Struct({ items: List(KeyValue) })
export const KeyValuePick = Struct({ values: List(KeyValue) })
export const Mutated = Struct({
  success: Literal(true),
  results: List(Struct({ key: Schema.NonEmptyString, version: Version }))
})
export const NotMutated = Struct({
  success: Literal(false),
  errors: List(
    Struct({
      key: Schema.NonEmptyString,
      error: Literal("version-mismatch"),
      version: KeyVersion,
      value: NullOr(Base64)
    })
  )
})

const AccessKey = Struct({ data: String, dataVersion: Cursor, createdAt: Millis, updatedAt: Millis })
export const FoundAccessKey = Struct({ accessKey: NullOr(AccessKey) })
export const NewAccessKey = Struct({ success: Literal(true), accessKey: AccessKey })
export const AccessKeyConflict = says("Access key already exists")
export const NoAccessKeyPlace = says("Session or machine not found")
export const NoAccessKey = says("Access key not found")
export const AccessKeyReplaced = Union(
  Struct({ success: Literal(true), version: Cursor }),
  Struct({
    success: Literal(false),
    error: Literal("version-mismatch"),
    currentVersion: Cursor,
    currentData: String
  })
)
const noAccessKey = <const E extends string>(error: E) => Struct({ ok: Literal(false), error: Literal(error) })
export const AccessKeyAck = {
  ok: Struct({ ok: Literal(true), accessKey: NullOr(AccessKey) }),
  invalid: noAccessKey("Invalid parameters: sessionId and machineId are required"),
  "not-found": noAccessKey("Session or machine not found")
}

export const NoFeed = Struct({ items: Schema.Tuple(), hasMore: Literal(false) })
export const NoFriends = Struct({ friends: Schema.Tuple() })
export const NoUsers = Struct({ users: Schema.Tuple() })
export const OwnUser = Struct({
  user: Struct({
    id: Cuid,
    firstName: String,
    lastName: NullOr(String),
    username: String,
    avatar: Null,
    bio: Null,
    status: Literal("none"),
    publicKey: String,
    contentPublicKey: NullOr(Base64),
    contentPublicKeySig: NullOr(Base64)
  })
})
export const NoUser = says("User not found")
export const NoVoice = says("Voice is not configured on this server")
