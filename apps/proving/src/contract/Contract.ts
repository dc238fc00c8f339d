/**
 * The contract: every route and every event, with all its possible answers, and
 * the test file that proves it. `Coverage.test.ts` compares this with what the
 * server registers; each file fails as long as it has not covered all of its
 * part.
 */
import * as Shapes from "./Shapes.ts"
import type { EventTerms, Part, RouteTerms } from "./Terms.ts"

export type { EventTerms, Part, RouteTerms } from "./Terms.ts"

export const routes = {
  "POST /v1/auth": {
    part: "Auth",
    for: "anybody",
    writes: true,
    answers: { 200: Shapes.Login, 400: Shapes.NoContentKey, 401: Shapes.NoLogin, 403: Shapes.NoSignUp }
  },
  "POST /v1/auth/revoke": { part: "Auth", for: "account", writes: true, answers: { 200: Shapes.Done } },

  "POST /v1/auth/request": {
    part: "Pairing",
    for: "anybody",
    writes: true,
    answers: { 200: Shapes.Pairing, 400: Shapes.BadRequest, 401: Shapes.NoPairingKey }
  },
  "GET /v1/auth/request/status": {
    part: "Pairing",
    for: "anybody",
    answers: { 200: Shapes.PairingStatus, 400: Shapes.BadRequest }
  },
  "POST /v1/auth/response": {
    part: "Pairing",
    for: "account",
    writes: true,
    answers: { 200: Shapes.Done, 400: Shapes.BadRequest, 401: Shapes.NoPairingKey, 404: Shapes.NoPairing }
  },
  "POST /v1/auth/account/request": {
    part: "Pairing",
    for: "anybody",
    writes: true,
    answers: { 200: Shapes.Pairing, 400: Shapes.BadRequest, 401: Shapes.NoPairingKey }
  },
  "POST /v1/auth/account/response": {
    part: "Pairing",
    for: "account",
    writes: true,
    answers: { 200: Shapes.Done, 400: Shapes.BadRequest, 401: Shapes.NoPairingKey, 404: Shapes.NoPairing }
  },

  "GET /v1/account/devices": { part: "Devices", for: "account", answers: { 200: Shapes.Devices } },
  "DELETE /v1/account/devices/:id": {
    part: "Devices",
    for: "account",
    writes: true,
    answers: { 200: Shapes.Done, 404: Shapes.NoDevice }
  },
  "GET /v1/account/storage": { part: "Quota", for: "account", answers: { 200: Shapes.Storage } },
  "GET /v1/account/profile": { part: "Account", for: "account", answers: { 200: Shapes.Profile } },
  "GET /v1/account/settings": { part: "Account", for: "account", answers: { 200: Shapes.Settings } },
  "POST /v1/account/settings": {
    part: "Account",
    for: "account",
    writes: true,
    answers: { 200: Shapes.SettingsReplaced, 400: Shapes.BadRequest }
  },
  "GET /v1/features": { part: "Account", for: "anybody", answers: { 200: Shapes.Features } },
  "GET /v1/auth/ping": { part: "Account", for: "account", answers: { 200: Shapes.Ping } },

  "GET /v1/push-tokens": { part: "Push", for: "account", answers: { 200: Shapes.PushTokens } },
  "POST /v1/push-tokens": {
    part: "Push",
    for: "account",
    writes: true,
    answers: { 200: Shapes.Done, 400: Shapes.BadRequest }
  },
  "DELETE /v1/push-tokens/:token": {
    part: "Push",
    for: "account",
    writes: true,
    answers: { 200: Shapes.Done }
  },

  "POST /v1/connect/:vendor/register": {
    part: "Connect",
    for: "account",
    writes: true,
    answers: { 200: Shapes.Done, 400: Shapes.BadRequest }
  },
  "GET /v1/connect/:vendor/token": {
    part: "Connect",
    for: "account",
    answers: { 200: Shapes.VendorToken, 400: Shapes.BadRequest }
  },
  "GET /v1/connect/tokens": { part: "Connect", for: "account", answers: { 200: Shapes.VendorTokens } },
  "DELETE /v1/connect/:vendor": {
    part: "Connect",
    for: "account",
    writes: true,
    answers: { 200: Shapes.Done, 400: Shapes.BadRequest, 404: Shapes.NotConnected }
  },
  "GET /v1/connect/github/params": { part: "Connect", for: "account", answers: { 400: Shapes.NoGitHub } },
  "DELETE /v1/connect/github": { part: "Connect", for: "account", answers: { 200: Shapes.Done } },

  "GET /v1/artifacts": { part: "Artifacts", for: "account", answers: { 200: Shapes.Artifacts } },
  "GET /v1/artifacts/:id": {
    part: "Artifacts",
    for: "account",
    answers: { 200: Shapes.OneArtifact, 404: Shapes.NoArtifact }
  },
  "POST /v1/artifacts": {
    part: "Artifacts",
    for: "account",
    writes: true,
    answers: { 200: Shapes.OneArtifact, 400: Shapes.Invalid, 409: Shapes.ArtifactConflict }
  },
  "POST /v1/artifacts/:id": {
    part: "Artifacts",
    for: "account",
    writes: true,
    answers: { 200: Shapes.ArtifactReplaced, 400: Shapes.Invalid, 404: Shapes.NoArtifact }
  },
  "DELETE /v1/artifacts/:id": {
    part: "Artifacts",
    for: "account",
    writes: true,
    answers: { 200: Shapes.Done, 404: Shapes.NoArtifact }
  },

  "GET /v1/kv/:key": { part: "KeyValues", for: "account", answers: { 200: Shapes.OneKeyValue, 404: Shapes.NoKey } },
  "GET /v1/kv": { part: "KeyValues", for: "account", answers: { 200: Shapes.KeyValueList, 400: Shapes.BadRequest } },
  "POST /v1/kv/bulk": {
    part: "KeyValues",
    for: "account",
    answers: { 200: Shapes.KeyValuePick, 400: Shapes.BadRequest }
  },
  "POST /v1/kv": {
    part: "KeyValues",
    for: "account",
    writes: true,
    answers: { 200: Shapes.Mutated, 400: Shapes.Invalid, 409: Shapes.NotMutated }
  },

  "GET /v1/access-keys/:sessionId/:machineId": {
    part: "AccessKeys",
    for: "account",
    answers: { 200: Shapes.FoundAccessKey, 404: Shapes.NoAccessKeyPlace }
  },
  "POST /v1/access-keys/:sessionId/:machineId": {
    part: "AccessKeys",
    for: "account",
    writes: true,
    answers: {
      200: Shapes.NewAccessKey,
      400: Shapes.BadRequest,
      404: Shapes.NoAccessKeyPlace,
      409: Shapes.AccessKeyConflict
    }
  },
  "PUT /v1/access-keys/:sessionId/:machineId": {
    part: "AccessKeys",
    for: "account",
    writes: true,
    answers: { 200: Shapes.AccessKeyReplaced, 400: Shapes.BadRequest, 404: Shapes.NoAccessKey }
  },

  "GET /v1/feed": { part: "Social", for: "account", answers: { 200: Shapes.NoFeed, 400: Shapes.BadRequest } },
  "GET /v1/friends": { part: "Social", for: "account", answers: { 200: Shapes.NoFriends } },
  "GET /v1/user/search": {
    part: "Social",
    for: "account",
    answers: { 200: Shapes.NoUsers, 400: Shapes.BadRequest }
  },
  "GET /v1/user/:id": { part: "Social", for: "account", answers: { 200: Shapes.OwnUser, 404: Shapes.NoUser } },
  "POST /v1/friends/add": {
    part: "Social",
    for: "account",
    answers: { 400: Shapes.BadRequest, 404: Shapes.NoUser }
  },
  "POST /v1/friends/remove": {
    part: "Social",
    for: "account",
    answers: { 400: Shapes.BadRequest, 404: Shapes.NoUser }
  },
  "POST /v1/voice/token": { part: "Social", for: "account", answers: { 400: Shapes.NoVoice } },

  "POST /v1/machines": {
    part: "Machines",
    for: "account",
    writes: true,
    answers: {
      200: Shapes.Registered,
      400: Shapes.BadRequest,
      409: Shapes.MachineConflict,
      410: Shapes.MachineRevoked
    }
  },
  "GET /v1/machines": { part: "Machines", for: "account", answers: { 200: Shapes.Machines } },
  "GET /v1/machines/:id": {
    part: "Machines",
    for: "account",
    answers: { 200: Shapes.OneMachine, 404: Shapes.NoMachine, 410: Shapes.MachineRevoked }
  },

  "POST /v1/machines/:id/revoke": {
    part: "Machines",
    for: "account",
    writes: true,
    answers: { 200: Shapes.Revoked, 404: Shapes.NoMachine }
  },
  "DELETE /v1/machines/:id": {
    part: "Machines",
    for: "account",
    writes: true,
    answers: { 200: Shapes.Done, 404: Shapes.NoMachine }
  },

  "POST /v1/sessions": {
    part: "Sessions",
    for: "account",
    writes: true,
    answers: { 200: Shapes.Opened, 400: Shapes.BadRequest }
  },
  "GET /v1/sessions": { part: "Sessions", for: "account", answers: { 200: Shapes.Sessions } },
  "GET /v2/sessions/active": {
    part: "Sessions",
    for: "account",
    answers: { 200: Shapes.ActiveSessions, 400: Shapes.BadRequest }
  },
  "GET /v2/sessions": {
    part: "Sessions",
    for: "account",
    answers: { 200: Shapes.SessionPage, 400: Shapes.NoSessionPage }
  },
  "GET /v2/sessions/archived": {
    part: "Sessions",
    for: "account",
    answers: { 200: Shapes.SessionPage, 400: Shapes.NoSessionPage }
  },
  "POST /v2/sessions/:id/archive": {
    part: "Sessions",
    for: "account",
    writes: true,
    answers: { 200: Shapes.Archived, 403: Shapes.NoArchiving, 409: Shapes.StillActive }
  },
  "POST /v2/sessions/:id/unarchive": {
    part: "Sessions",
    for: "account",
    writes: true,
    answers: { 200: Shapes.Unarchived, 403: Shapes.NoArchiving }
  },
  "GET /v2/sessions/:id": {
    part: "Sessions",
    for: "account",
    answers: { 200: Shapes.OneSession, 404: Shapes.NoSession }
  },
  "PATCH /v2/sessions/:id": {
    part: "Sessions",
    for: "account",
    writes: true,
    answers: { 200: Shapes.Patched, 400: Shapes.Invalid, 404: Shapes.NoSession }
  },
  "DELETE /v1/sessions/:id": {
    part: "Sessions",
    for: "account",
    writes: true,
    answers: { 200: Shapes.Done, 404: Shapes.NoSession }
  },

  "POST /v2/sessions/:id/messages": {
    part: "Messages",
    for: "account",
    writes: true,
    answers: { 200: Shapes.Sent, 400: Shapes.Invalid, 404: Shapes.NoSession }
  },
  "GET /v1/sessions/:id/messages": {
    part: "Messages",
    for: "account",
    answers: { 200: Shapes.MessagePage, 400: Shapes.BadRequest, 404: Shapes.NoSession }
  },
  "POST /v3/sessions/:id/messages": {
    part: "Messages",
    for: "account",
    writes: true,
    answers: { 200: Shapes.SentBatch, 400: Shapes.BadRequest, 404: Shapes.NoSession }
  },
  "GET /v3/sessions/:id/messages": {
    part: "Messages",
    for: "account",
    answers: { 200: Shapes.MessageSlice, 400: Shapes.NoMessageSlice, 404: Shapes.NoSession }
  },

  "GET /v2/changes": {
    part: "Changes",
    for: "account",
    answers: { 200: Shapes.Changes, 400: Shapes.BadRequest, 410: Shapes.CursorGone }
  },
  "GET /v2/cursor": { part: "Changes", for: "account", answers: { 200: Shapes.Bounds } },

  "POST /v2/usage-reports": {
    part: "Usage",
    for: "account",
    writes: true,
    answers: { 200: Shapes.Receipt, 400: Shapes.NoReceipt, 404: Shapes.NoSession }
  },
  "POST /v1/usage/query": {
    part: "Usage",
    for: "account",
    answers: { 200: Shapes.Usage, 400: Shapes.BadRequest, 404: Shapes.NoSession }
  },

  "GET /": { part: "Health", for: "anybody", answers: { 200: Shapes.Text } },
  "GET /livez": { part: "Health", for: "anybody", answers: { 200: Shapes.Alive } },
  "GET /version": { part: "Health", for: "anybody", answers: { 200: Shapes.ServerVersion } },
  "GET /v2/health": { part: "Health", for: "anybody", answers: { 200: Shapes.Health } },
  "POST /v1/version": {
    part: "Health",
    for: "anybody",
    answers: { 200: Shapes.NewerVersion, 400: Shapes.BadRequest }
  },
  "GET /health": { part: "Health", for: "anybody", answers: { 200: Shapes.Health, 503: Shapes.Unhealthy } },
  "GET /healthz": { part: "Health", for: "anybody", answers: { 200: Shapes.Ready, 503: Shapes.Unready } },
  "GET /readyz": { part: "Health", for: "anybody", answers: { 200: Shapes.Ready, 503: Shapes.Unready } },
  "GET /metrics": { part: "Health", for: "anybody", answers: { 200: Shapes.Text } }
} as const satisfies { readonly [route: string]: RouteTerms }

/** The events that clients send over their sockets. */
export const events = {
  ping: { part: "Handshake", acks: { pong: Shapes.Pong } },
  "machine-alive": { part: "Recipients", acks: {} },
  "machine-update-metadata": { part: "Machines", writes: true, acks: Shapes.MachineMetadataAck },
  "machine-update-state": { part: "Machines", writes: true, acks: Shapes.MachineStateAck },
  "session-alive": { part: "Recipients", acks: {} },
  "session-end": { part: "Recipients", acks: {} },
  "update-metadata": { part: "Sessions", writes: true, acks: Shapes.MetadataAck },
  "update-state": { part: "Sessions", writes: true, acks: Shapes.StateAck },
  message: { part: "Messages", writes: true, acks: Shapes.MessageAck },
  "usage-report": { part: "Usage", writes: true, acks: Shapes.UsageAck },
  "artifact-read": { part: "Artifacts", acks: Shapes.ArtifactAck },
  "artifact-create": { part: "Artifacts", writes: true, acks: Shapes.ArtifactAck },
  "artifact-update": { part: "Artifacts", writes: true, acks: Shapes.ArtifactUpdateAck },
  "artifact-delete": { part: "Artifacts", writes: true, acks: Shapes.ArtifactDeleteAck },
  "access-key-get": { part: "AccessKeys", acks: Shapes.AccessKeyAck },
  "rpc-register": { part: "Rpc", acks: {} },
  "rpc-unregister": { part: "Rpc", acks: {} },
  "rpc-call": { part: "Rpc", acks: Shapes.RpcAck }
} as const satisfies { readonly [event: string]: EventTerms }

export type RouteName = keyof typeof routes
export type EventName = keyof typeof events

/** The outcome of an event that can never be written. No input of a client causes it. */
const lateOutcomes: { readonly [event: string]: string } = { message: "internal", "usage-report": "Failed to save" }

const partOfUpdate = (name: string): Part => {
  if (name.endsWith("-artifact")) return "Artifacts"
  return name === "kv-batch-update" ? "KeyValues" : "Recipients"
}

/** What the server sends by itself, and the part that tests it. */
const spoken: ReadonlyArray<readonly [name: string, part: Part]> = [
  ...Object.keys(Shapes.updates).map((name) => [`update ${name}`, partOfUpdate(name)] as const),
  ...Object.keys(Shapes.ephemerals).map((name) => [`ephemeral ${name}`, "Recipients"] as const),
  ...Object.keys(Shapes.others).map((name) => [name, name === "error" ? "Handshake" : "Rpc"] as const)
]

const routeClauses = Object.entries<RouteTerms>(routes).flatMap(([name, terms]) => [
  ...Object.keys(terms.answers).map((status) => [`${name} ${status}`, terms.part] as const),
  ...(terms.for === "account" ? [[`${name} without a token`, terms.part] as const] : []),
  ...(terms.writes === true ? [[`${name} 503`, "Busy"] as const] : [])
])

const eventClauses = Object.entries<EventTerms>(events).flatMap(([name, { acks, part }]) => {
  const outcomes = Object.keys(acks).filter((outcome) => outcome !== lateOutcomes[name])
  return [
    ...(outcomes.length === 0 ? [[name, part] as const] : []),
    ...outcomes.map((outcome) => [`${name} ${outcome}`, part] as const)
  ]
})

/** Everything that a part must cover, as text. */
export const clausesOf = (part: Part): ReadonlyArray<string> =>
  [...routeClauses, ...eventClauses, ...spoken].flatMap(([clause, owner]) => (owner === part ? [clause] : []))

export const parts: ReadonlyArray<Part> = [
  ...new Set([...routeClauses, ...eventClauses, ...spoken].map(([, part]) => part))
]
