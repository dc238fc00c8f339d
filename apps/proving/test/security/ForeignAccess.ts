/**
 * What a client of another account can try with the ids of an account: at least one attempt for every route and every
 * event of the contract. `Isolation.test.ts` fails when one has none.
 */
import { randomUUID } from "node:crypto"
import type { EventName, RouteName } from "../../src/contract/Contract.ts"
import type { AccountFixture } from "./AccountFixture.ts"

export interface Request {
  readonly params?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string>>
  readonly body?: unknown
  readonly status: number
  readonly error?: string
}

/** What is sent, and the ack. `undefined`: none is sent, and the event has no effect. */
export interface EventAttempt {
  readonly payload: unknown
  readonly ack?: unknown
}

/** Names no row, and so shows the caller's own. */
const own = (request: Omit<Request, "status"> = {}): ReadonlyArray<Request> => [{ ...request, status: 200 }]

const notFound = (what: string, request: Omit<Request, "status" | "error">): Request => ({
  ...request,
  status: 404,
  error: `${what} not found`
})

/** Every id of the account, also where an id of another kind is expected. */
const ids = ({ accountId, machineId, messageId, sid }: AccountFixture) => [sid, machineId, messageId, accountId]

const amounts = { tokens: { total: 9 }, cost: { total: 9 } }

type Attempts = { readonly [route in RouteName]: (victim: AccountFixture) => ReadonlyArray<Request> }

const session =
  (request: Omit<Request, "status" | "error"> = {}) =>
  (victim: AccountFixture) =>
    ids(victim).map((id) => notFound("Session", { ...request, params: { id } }))

/** Routes of the archive answer the same for a missing session. */
const archive = (victim: AccountFixture): ReadonlyArray<Request> =>
  ids(victim).map((id) => ({ params: { id }, status: 403, error: "Forbidden" }))

export const requests: Attempts = {
  "POST /v1/auth": ({ keys }) => {
    const { signature, ...rest } = keys.challenge()
    return [
      { body: { ...rest, signature: `${signature.slice(0, -8)}AAAAAA==` }, status: 401, error: "Invalid signature" }
    ]
  },
  // Ends the tokens of the caller, so it is tried apart from the rest, by an account that has nothing left to do.
  "POST /v1/auth/revoke": () => own({ body: {} }),
  "POST /v1/auth/request": () => own({ body: { publicKey: Buffer.alloc(32, 7).toString("base64") } }),
  "GET /v1/auth/request/status": ({ pairings }) => own({ query: { publicKey: pairings.terminal } }),
  "POST /v1/auth/response": ({ pairings }) => [
    notFound("Request", { body: { publicKey: pairings.terminal, response: "mine" } })
  ],
  "POST /v1/auth/account/request": () => own({ body: { publicKey: Buffer.alloc(32, 8).toString("base64") } }),
  "POST /v1/auth/account/response": ({ pairings }) => [
    notFound("Request", { body: { publicKey: pairings.account, response: "mine" } })
  ],
  "GET /v1/account/storage": () => own(),
  "GET /v1/account/profile": () => own(),
  "GET /v1/account/devices": () => own(),
  "DELETE /v1/account/devices/:id": ({ deviceId }) => [notFound("Device", { params: { id: deviceId } })],
  "GET /v1/account/settings": () => own(),
  "POST /v1/account/settings": () => own({ body: { settings: "mine", expectedVersion: 1 } }),
  "GET /v1/features": () => own(),
  "GET /v1/auth/ping": () => own(),
  "GET /v1/push-tokens": () => own(),
  "POST /v1/push-tokens": ({ pushToken }) => own({ body: { token: pushToken } }),
  "DELETE /v1/push-tokens/:token": ({ pushToken }) => own({ params: { token: pushToken } }),
  "POST /v1/connect/:vendor/register": () => own({ params: { vendor: "openai" }, body: { token: "mine" } }),
  "GET /v1/connect/:vendor/token": () => own({ params: { vendor: "anthropic" } }),
  "GET /v1/connect/tokens": () => own(),
  "DELETE /v1/connect/:vendor": () => own({ params: { vendor: "anthropic" } }),
  "GET /v1/connect/github/params": () => [{ status: 400, error: "GitHub OAuth not configured" }],
  "DELETE /v1/connect/github": () => own(),
  "GET /v1/artifacts": () => own(),
  "GET /v1/artifacts/:id": (victim) =>
    [victim.artifactId, ...ids(victim)].map((id) => notFound("Artifact", { params: { id } })),
  "POST /v1/artifacts": ({ artifactId }) => [
    {
      body: { id: artifactId, header: "", body: "", dataEncryptionKey: "" },
      status: 409,
      error: "Artifact with this ID already exists for another account"
    }
  ],
  "POST /v1/artifacts/:id": ({ artifactId }) => [
    notFound("Artifact", { params: { id: artifactId }, body: { header: "", expectedHeaderVersion: 1 } })
  ],
  "DELETE /v1/artifacts/:id": ({ artifactId }) => [notFound("Artifact", { params: { id: artifactId } })],
  "GET /v1/kv/:key": ({ keyName }) => [notFound("Key", { params: { key: keyName } })],
  "GET /v1/kv": ({ keyName }) => [...own(), ...own({ query: { prefix: keyName } })],
  "POST /v1/kv/bulk": ({ keyName }) => own({ body: { keys: [keyName] } }),
  // The same key is another one for the caller, which never wrote it.
  "POST /v1/kv": ({ keyName }) => [
    { body: { mutations: [{ key: keyName, value: "bWluZQ==", version: 0 }] }, status: 409 },
    ...own({ body: { mutations: [{ key: "the same key", value: "bWluZQ==", version: -1 }] } })
  ],
  "GET /v1/access-keys/:sessionId/:machineId": ({ machineId, sid }) => [
    notFound("Session or machine", { params: { sessionId: sid, machineId } })
  ],
  "POST /v1/access-keys/:sessionId/:machineId": ({ machineId, sid }) => [
    notFound("Session or machine", { params: { sessionId: sid, machineId }, body: { data: "mine" } })
  ],
  "PUT /v1/access-keys/:sessionId/:machineId": ({ machineId, sid }) => [
    notFound("Access key", { params: { sessionId: sid, machineId }, body: { data: "mine", expectedVersion: 1 } })
  ],
  "GET /v1/feed": () => own(),
  "GET /v1/friends": () => own(),
  "GET /v1/user/search": ({ accountId }) => own({ query: { query: accountId } }),
  "GET /v1/user/:id": (victim) => ids(victim).map((id) => notFound("User", { params: { id } })),
  "POST /v1/friends/add": ({ accountId }) => [notFound("User", { body: { uid: accountId } })],
  "POST /v1/friends/remove": ({ accountId }) => [notFound("User", { body: { uid: accountId } })],
  "POST /v1/voice/token": () => [{ status: 400 }],
  "POST /v1/machines": ({ machineId }) => [
    { body: { id: machineId, metadata: "mine" }, status: 409, error: "machine_id_conflict" }
  ],
  "GET /v1/machines": () => own(),
  "GET /v1/machines/:id": (victim) => ids(victim).map((id) => notFound("Machine", { params: { id } })),
  "POST /v1/machines/:id/revoke": (victim) => ids(victim).map((id) => notFound("Machine", { params: { id } })),
  "DELETE /v1/machines/:id": (victim) => ids(victim).map((id) => notFound("Machine", { params: { id } })),
  // The same tag opens a session of the caller.
  "POST /v1/sessions": () => own({ body: { tag: "the same tag", metadata: "mine" } }),
  "GET /v1/sessions": () => own(),
  "GET /v2/sessions/active": () => own(),
  "GET /v2/sessions": ({ sid }) => [...own(), ...own({ query: { cursor: `cursor_v1_${sid}` } })],
  "GET /v2/sessions/archived": ({ sid }) => [...own(), ...own({ query: { cursor: `cursor_v1_${sid}` } })],
  "POST /v2/sessions/:id/archive": archive,
  "POST /v2/sessions/:id/unarchive": archive,
  "GET /v2/sessions/:id": session(),
  "PATCH /v2/sessions/:id": session({
    body: { metadata: { ciphertext: "mine", expectedVersion: 0 }, agentState: { ciphertext: null, expectedVersion: 0 } }
  }),
  "DELETE /v1/sessions/:id": session(),
  "POST /v2/sessions/:id/messages": session({ body: { ciphertext: "mine", localId: randomUUID() } }),
  "GET /v1/sessions/:id/messages": session(),
  "POST /v3/sessions/:id/messages": session({ body: { messages: [{ content: "mine", localId: randomUUID() }] } }),
  "GET /v3/sessions/:id/messages": (victim) => [
    ...session()(victim),
    ...session({ query: { before_seq: "1000" } })(victim)
  ],
  "GET /v2/changes": () => own({ query: { after: "0" } }),
  "GET /v2/cursor": () => own(),
  "POST /v2/usage-reports": (victim) => [
    ...ids(victim).map((sessionId) => notFound("Session", { body: { key: victim.usageKey, sessionId, ...amounts } })),
    ...own({ body: { key: "the same key", ...amounts } })
  ],
  "POST /v1/usage/query": (victim) => [
    ...ids(victim).map((sessionId) => notFound("Session", { body: { sessionId } })),
    ...own({ body: {} })
  ],
  "GET /": () => own(),
  "GET /livez": () => own(),
  "GET /version": () => own(),
  "GET /v2/health": () => own(),
  "POST /v1/version": () => own({ body: { platform: "cli", version: "1", app_id: "x" } }),
  "GET /health": () => own(),
  "GET /healthz": () => own(),
  "GET /readyz": () => own(),
  "GET /metrics": () => own()
}

const machineNotFound = { result: "error", message: "Machine not found" }
const artifactError = (message: string) => ({ result: "error", message })
const forbidden = { result: "forbidden" }
const unavailable = {
  ok: false,
  error: "RPC method not available",
  errorCode: "RPC_METHOD_NOT_AVAILABLE"
}

const said =
  (field: string, more: object = {}) =>
  (victim: AccountFixture) =>
    ids(victim).map((id): EventAttempt => ({ payload: { [field]: id, time: Date.now(), ...more } }))

const asked = (field: string, more: object, ack: unknown) => (victim: AccountFixture) =>
  ids(victim).map((id): EventAttempt => ({ payload: { [field]: id, ...more }, ack }))

export const eventAttempts: { readonly [event in EventName]: (victim: AccountFixture) => ReadonlyArray<EventAttempt> } =
  {
    ping: ({ sid }) => [{ payload: { sid }, ack: {} }],
    "machine-alive": said("machineId"),
    "machine-update-metadata": asked("machineId", { metadata: "mine", expectedVersion: 1 }, machineNotFound),
    "machine-update-state": asked("machineId", { daemonState: "mine", expectedVersion: 1 }, machineNotFound),
    "session-alive": said("sid", { thinking: true }),
    "session-end": said("sid"),
    "update-metadata": asked("sid", { metadata: "mine", expectedVersion: 0 }, forbidden),
    "update-state": asked("sid", { agentState: "mine", expectedVersion: 0 }, forbidden),
    message: asked("sid", { message: "mine", echoToSender: true }, { ok: false, error: "session-not-found" }),
    "usage-report": (victim) =>
      ids(victim).map((sessionId) => ({
        payload: { key: victim.usageKey, sessionId, ...amounts },
        ack: { success: false, error: "Session not found" }
      })),
    "artifact-read": ({ artifactId }) => [{ payload: { artifactId }, ack: artifactError("Artifact not found") }],
    "artifact-create": ({ artifactId }) => [
      {
        payload: { id: artifactId, header: "", body: "", dataEncryptionKey: "" },
        ack: artifactError("Artifact already exists")
      }
    ],
    "artifact-update": ({ artifactId }) => [
      { payload: { artifactId, header: { data: "", expectedVersion: 1 } }, ack: artifactError("Artifact not found") }
    ],
    "artifact-delete": ({ artifactId }) => [{ payload: { artifactId }, ack: artifactError("Artifact not found") }],
    "access-key-get": ({ machineId, sid }) => [
      { payload: { sessionId: sid, machineId }, ack: { ok: false, error: "Session or machine not found" } }
    ],
    // Methods are known per account: the same name is another method, and takes nothing from the account.
    "rpc-register": ({ machineId, method }) => [{ payload: { method } }, { payload: { method: `${machineId}:bash` } }],
    "rpc-unregister": ({ machineId, method }) => [
      { payload: { method } },
      { payload: { method: `${machineId}:bash` } }
    ],
    "rpc-call": ({ machineId, method }) => [
      { payload: { method, params: "mine" }, ack: unavailable },
      { payload: { method: `${machineId}:bash` }, ack: unavailable }
    ]
  }
