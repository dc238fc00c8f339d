/**
 * A device that keeps a copy of the sessions of its account, as apps do: from
 * updates while it is connected, and from the feed of changes for the rest.
 */
import { Effect, Scope } from "effect"
import { app, authorized, type Client, TestServer } from "./TestServer.ts"

interface Text {
  readonly value: string | null
  readonly version: number
}

export interface Copy {
  metadata: Text
  agentState: Text
  /** Ciphertexts by number. */
  readonly messages: Map<number, string>
}

interface Message {
  readonly seq: number
  readonly content: { readonly c: string }
}

interface SessionView {
  readonly id: string
  readonly metadata: string
  readonly metadataVersion: number
  readonly agentState: string | null
  readonly agentStateVersion: number
}

type Body =
  | ({ readonly t: "new-session" } & SessionView)
  | { readonly t: "update-session"; readonly sid: string; readonly metadata?: Text; readonly agentState?: Text }
  | { readonly t: "new-message"; readonly sid: string; readonly message: Message }
  | { readonly t: "delete-session"; readonly sid: string }

export interface Replica {
  readonly name: string
  readonly sessions: ReadonlyMap<string, Copy>
  /** The connection, while there is one. */
  readonly client: () => Client | undefined
  /** Cursors of the updates of the last connection, in the order in which they came. */
  readonly cursors: () => ReadonlyArray<number>
  readonly applyText: (id: string, text: "metadata" | "agentState", current: Text) => void
  readonly applyMessage: (id: string, seq: number, ciphertext: string) => void
  readonly request: (
    method: "GET" | "POST" | "PATCH" | "DELETE",
    url: string,
    payload?: object
  ) => Effect.Effect<{ readonly status: number; readonly body: any }, never, TestServer>
  /** Connects, and then reads what it missed. */
  readonly arrive: Effect.Effect<void, never, TestServer>
  readonly leave: Effect.Effect<void>
  /** Has received everything that was sent to it so far. */
  readonly settled: Effect.Effect<void>
}

export const make = (accountId: string, name: string): Effect.Effect<Replica, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const sessions = new Map<string, Copy>()
    const gone = new Set<string>()
    let cursor = 0
    let cursors: Array<number> = []
    let client: Client | undefined

    const copyOf = (id: string): Copy | undefined => {
      if (gone.has(id)) return undefined
      const empty = { value: null, version: -1 }
      const copy = sessions.get(id) ?? { metadata: empty, agentState: empty, messages: new Map<number, string>() }
      sessions.set(id, copy)
      return copy
    }
    const applyText: Replica["applyText"] = (id, text, current) => {
      const copy = copyOf(id)
      if (copy !== undefined && current.version > copy[text].version) copy[text] = current
    }
    const applyMessage: Replica["applyMessage"] = (id, seq, ciphertext) => {
      const messages = copyOf(id)?.messages
      if (messages?.has(seq) === false) messages.set(seq, ciphertext)
    }
    const applyView = (view: SessionView) => {
      applyText(view.id, "metadata", { value: view.metadata, version: view.metadataVersion })
      applyText(view.id, "agentState", { value: view.agentState, version: view.agentStateVersion })
    }
    const drop = (id: string) => {
      gone.add(id)
      sessions.delete(id)
    }
    const apply = (body: Body) => {
      switch (body.t) {
        case "new-session":
          return applyView(body)
        case "update-session":
          if (body.metadata !== undefined) applyText(body.sid, "metadata", body.metadata)
          if (body.agentState !== undefined) applyText(body.sid, "agentState", body.agentState)
          return
        case "new-message":
          return applyMessage(body.sid, body.message.seq, body.message.content.c)
        case "delete-session":
          return drop(body.sid)
      }
    }

    const request: Replica["request"] = (method, url, payload) =>
      Effect.gen(function* () {
        const { inject } = yield* TestServer
        const headers = authorized(accountId)
        const response = yield* inject({ method, url, headers, ...(payload === undefined ? {} : { payload }) })
        return { status: response.statusCode, body: response.json() }
      })

    const readMessages = (id: string) =>
      Effect.gen(function* () {
        const known = sessions.get(id)?.messages ?? new Map()
        let after = 0
        while (known.has(after + 1)) after += 1
        for (;;) {
          const { status, body } = yield* request("GET", `/v1/sessions/${id}/messages?limit=3&afterSeq=${after}`)
          if (status !== 200) return
          for (const { seq, content } of body.messages) applyMessage(id, seq, content.c)
          if (!body.hasMore) return
          after = body.nextAfterSeq
        }
      })

    const readSession = (id: string) =>
      Effect.gen(function* () {
        const { status, body } = yield* request("GET", `/v2/sessions/${id}`)
        if (status === 404) return drop(id)
        applyView(body.session)
        yield* readMessages(id)
      })

    const catchUp = Effect.gen(function* () {
      for (;;) {
        const { body } = yield* request("GET", `/v2/changes?after=${cursor}&limit=2`)
        if (body.changes.length === 0) return
        for (const { kind, entityId } of body.changes) if (kind === "session") yield* readSession(entityId)
        cursor = body.nextCursor
      }
    })

    return {
      name,
      sessions,
      client: () => client,
      cursors: () => cursors,
      applyText,
      applyMessage,
      request,
      arrive: Effect.gen(function* () {
        const { client: dial } = yield* TestServer
        const arrived = yield* Scope.extend(dial(app(accountId)), scope)
        cursors = []
        arrived.socket.on("update", ({ seq, body }: { readonly seq: number; readonly body: Body }) => {
          cursors.push(seq)
          apply(body)
        })
        arrived.socket.connect()
        yield* arrived.next("connect")
        yield* arrived.flush
        client = arrived
        yield* catchUp
      }),
      leave: Effect.sync(() => {
        client?.socket.disconnect()
        client = undefined
      }),
      settled: Effect.suspend(() => client?.flush ?? Effect.void)
    }
  })
