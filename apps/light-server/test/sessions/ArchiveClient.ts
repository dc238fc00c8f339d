/** Sessions of two accounts, and the requests of the archive tests. */
import { Effect } from "effect"
import { addTwoSessions } from "proving/drivers/Rows"
import { TestDatabase } from "../support/TestDatabase.ts"
import { agent, authorized, TestServer } from "../support/TestServer.ts"

/** The sessions `s1` of `a1` and `s2` of `a2`, both offline. */
export const twoSessions = Effect.tap(TestDatabase, (database) => {
  addTwoSessions(database)
  database.sqlite.exec(`UPDATE "Session" SET "active" = 0`)
})

/** The agent of `s1`, which has ended its session. */
export const endedAgent = Effect.gen(function* () {
  const server = yield* TestServer
  const working = yield* server.connect(agent("a1", "s1"))
  working.emit("session-end", { sid: "s1", time: Date.now() })
  yield* working.flush
  return working
})

export const post = (accountId: string, id: string, action: "archive" | "unarchive") =>
  Effect.flatMap(TestServer, ({ inject }) =>
    inject({ method: "POST", url: `/v2/sessions/${id}/${action}`, headers: authorized(accountId) })
  )

const get = <A>(accountId: string, url: string) =>
  Effect.map(
    Effect.flatMap(TestServer, ({ inject }) => inject({ method: "GET", url, headers: authorized(accountId) })),
    (response) => response.json<A>()
  )

interface Listed {
  readonly sessions: ReadonlyArray<{ readonly id: string; readonly archivedAt: number | null }>
  readonly nextCursor: string | null
  readonly hasNext: boolean
}

export const list = (url: string, accountId = "a1") => get<Listed>(accountId, url)

export const idsOf = ({ sessions }: Listed) => sessions.map(({ id }) => id)

interface Found {
  readonly session: { readonly active: boolean; readonly archivedAt: number | null; readonly metadata: string }
}

export const found = (id: string) => Effect.map(get<Found>("a1", `/v2/sessions/${id}`), ({ session }) => session)

export const archivedAtOf = (id: string) => Effect.map(found(id), ({ archivedAt }) => archivedAt)

export const kept = (database: Pick<TestDatabase["Type"], "query">) =>
  database.query(`SELECT "sessionId", "archivedAt" FROM "PresenceSessionArchive" ORDER BY "sessionId"`)
