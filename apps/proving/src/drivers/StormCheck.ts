/**
 * Compares a file and the feeds of its accounts with what many talkers sent and
 * the answers they received. Each problem is a sentence.
 */
import type { Server } from "./BuiltServer.ts"
import type { Attempt, Sent, Talker } from "./Talker.ts"

/** An account of the storm: its talkers, the first one an app that receives everything. */
export interface Account {
  readonly watcher: Talker
  readonly talkers: ReadonlyArray<Talker>
  readonly sids: ReadonlyArray<string>
}

export interface Change {
  readonly cursor: number
  readonly kind: string
  readonly entityId: string
  readonly hint: unknown
}

interface Row {
  readonly sessionId: string
  readonly id: string
  readonly seq: number
  readonly localId: string
  readonly text: string
}

interface Session {
  readonly id: string
  readonly accountId: string
  readonly seq: number
  readonly version: number
  readonly state: string | null
}

const rowsOf = (server: Server) =>
  server.rows(
    `SELECT "sessionId", "id", "seq", "localId", "content" ->> 'c' AS "text" FROM "SessionMessage"
     ORDER BY "sessionId", "seq"`
  ) as unknown as ReadonlyArray<Row>

const sessionsOf = (server: Server) =>
  server.rows(
    `SELECT "id", "accountId", "seq", "agentStateVersion" AS "version", "agentState" AS "state" FROM "Session"`
  ) as unknown as ReadonlyArray<Session>

const grouped = <A extends object>(items: ReadonlyArray<A>, keyOf: (item: A) => string) => {
  const groups = new Map<string, Array<A>>()
  for (const item of items) {
    const group = groups.get(keyOf(item))
    if (group === undefined) groups.set(keyOf(item), [item])
    else group.push(item)
  }
  return groups
}

/** Numbers without a gap, and no message that was sent only after another one has a smaller number than that. */
const numberProblems = (session: Session, rows: ReadonlyArray<Row>, talkers: ReadonlyArray<Talker>) => {
  const gap = rows.findIndex(({ seq }, index) => seq !== index + 1)
  const problems = gap < 0 ? [] : [`${session.id}: ${rows[gap]?.seq} stands at ${gap + 1}`]
  if (session.seq !== rows.length) problems.push(`${session.id}: its number is ${session.seq} of ${rows.length}`)
  const seqs = new Map(rows.map(({ localId, seq }) => [localId, seq]))
  for (const { sent } of talkers) {
    let newest = 0
    const stored = sent.filter(({ localId, sid }) => sid === session.id && seqs.has(localId))
    for (const { first, last, localId } of stored.toSorted((a, b) => seqs.get(a.localId)! - seqs.get(b.localId)!)) {
      if (newest > last) problems.push(`${localId} stands behind what was sent after it`)
      newest = Math.max(newest, first)
    }
  }
  return problems
}

const messageProblems = (sent: ReadonlyMap<string, Sent>, rows: ReadonlyArray<Row>) => {
  const problems: Array<string> = []
  const stored = new Map<string, Row>()
  for (const row of rows) {
    if (stored.has(row.localId)) problems.push(`${row.localId} is there twice`)
    if (sent.get(row.localId)?.sid !== row.sessionId) problems.push(`${row.localId} was not sent there`)
    if (row.text !== `text of ${row.localId}`) problems.push(`${row.localId} has another text`)
    stored.set(row.localId, row)
  }
  for (const { answer, localId } of sent.values()) {
    const row = stored.get(localId)
    if (answer !== undefined && (row?.id !== answer.id || row.seq !== answer.seq)) {
      problems.push(`${localId} was promised as ${JSON.stringify(answer)} and is ${JSON.stringify(row)}`)
    }
  }
  return problems
}

/** Each version is the one success on the version before it, or an attempt without an answer. */
const stateProblems = ({ id, state, version }: Session, attempts: ReadonlyArray<Attempt>) => {
  const problems: Array<string> = []
  for (const { expectedVersion, outcome, value } of attempts) {
    if (outcome === "replaced" && expectedVersion >= version) problems.push(`${id}: ${value} is lost`)
  }
  const onVersion = grouped(attempts, ({ expectedVersion }) => String(expectedVersion))
  for (let before = 0; before < version; before++) {
    const here = onVersion.get(String(before)) ?? []
    const replaced = here.filter(({ outcome }) => outcome === "replaced")
    const possible = replaced.length > 0 ? replaced : here.filter(({ outcome }) => outcome === "unknown")
    if (replaced.length > 1 || possible.length === 0) {
      problems.push(`${id}: version ${before + 1} was promised to ${replaced.length}, of ${JSON.stringify(here)}`)
    }
    if (before + 1 === version && !possible.some(({ value }) => value === state)) {
      problems.push(`${id}: its state is ${state}, but was ${JSON.stringify(possible)}`)
    }
  }
  return problems
}

/** Nothing is announced that is not stored. */
const hearsayProblems = ({ watcher }: Account, rows: ReadonlyMap<string, Row>, cursor: number) =>
  watcher.line.heard.flatMap(({ event, payload }) => {
    if (event !== "update" || payload.body.t !== "new-message") return []
    const { id, localId, seq } = payload.body.message
    const row = rows.get(localId)
    const isTrue = row?.id === id && row?.seq === seq && row?.sessionId === payload.body.sid && payload.seq <= cursor
    return isTrue ? [] : [`the app heard of ${JSON.stringify(payload)} and there is ${JSON.stringify(row)}`]
  })

/** Each change has taken one cursor. */
const cursorsOf = (server: Server) =>
  new Map(
    server
      .rows(
        `SELECT a."id", a."seq", (SELECT max("cursor") FROM "AccountChange" WHERE "accountId" = a."id") AS "newest",
          (SELECT count(*) FROM "Machine" WHERE "accountId" = a."id") +
          (SELECT sum(1 + "seq" + "metadataVersion" + "agentStateVersion") FROM "Session" WHERE "accountId" = a."id")
            AS "changes"
        FROM "Account" AS a`
      )
      .map(({ changes, id, newest, seq }) => [
        String(id),
        {
          cursor: Number(seq),
          isRight: seq === changes && seq === newest,
          text: JSON.stringify({ changes, newest, seq })
        }
      ])
  )

/** What is wrong in the file, whether or not the storm is over. */
export const problemsOf = (server: Server, accounts: ReadonlyArray<Account>): ReadonlyArray<string> => {
  const rows = rowsOf(server)
  const rowsOfSession = grouped(rows, ({ sessionId }) => sessionId)
  const rowOf = new Map(rows.map((row) => [row.localId, row]))
  const sessions = new Map(sessionsOf(server).map((session) => [session.id, session]))
  const cursors = cursorsOf(server)
  const sent = accounts.flatMap(({ talkers }) => talkers.flatMap(({ sent }) => sent))
  return [
    ...messageProblems(new Map(sent.map((message) => [message.localId, message])), rows),
    ...[...cursors].flatMap(([id, { isRight, text }]) => (isRight ? [] : [`the cursor of ${id}: ${text}`])),
    ...accounts.flatMap((account) => {
      const attempts = grouped(
        account.talkers.flatMap(({ attempts }) => attempts),
        ({ sid }) => sid
      )
      const cursor = cursors.get(sessions.get(account.sids[0] ?? "")?.accountId ?? "")?.cursor ?? 0
      return [
        ...hearsayProblems(account, rowOf, cursor),
        ...account.sids.flatMap((sid) => {
          const session = sessions.get(sid)
          return session === undefined
            ? [`session ${sid} is not there`]
            : [
                ...numberProblems(session, rowsOfSession.get(sid) ?? [], account.talkers),
                ...stateProblems(session, attempts.get(sid) ?? [])
              ]
        })
      ]
    })
  ]
}

/** What is wrong in a feed that was read from the beginning. */
export const feedProblems = (
  server: Server,
  sids: ReadonlyArray<string>,
  feed: { readonly changes: ReadonlyArray<Change>; readonly cursor: number } | undefined
): ReadonlyArray<string> => {
  const { changes, cursor } = feed ?? { changes: [], cursor: 0 }
  const newest = new Map(rowsOf(server).map(({ id, seq, sessionId }) => [sessionId, { seq, id }]))
  const problems = changes.flatMap((change, index) =>
    change.cursor > (changes[index - 1]?.cursor ?? 0) && change.cursor <= cursor
      ? []
      : [`the feed up to ${cursor}: ${JSON.stringify(change)}`]
  )
  for (const sid of sids) {
    const found = changes.filter(({ entityId, kind }) => kind === "session" && entityId === sid)
    const last = newest.get(sid)
    const hint = JSON.stringify(last === undefined ? null : { lastMessageSeq: last.seq, lastMessageId: last.id })
    if (found.length !== 1 || JSON.stringify(found[0]?.hint) !== hint) {
      problems.push(`the feed shows ${JSON.stringify(found)} for ${hint}`)
    }
  }
  return problems
}

export const countsOf = (accounts: ReadonlyArray<Account>) => {
  const talkers = accounts.flatMap(({ talkers }) => talkers)
  const sum = (count: (talker: Talker) => number) => talkers.reduce((total, talker) => total + count(talker), 0)
  const outcomes = (wanted: Attempt["outcome"]) =>
    sum(({ attempts }) => attempts.filter(({ outcome }) => outcome === wanted).length)
  return {
    sent: sum(({ sent }) => sent.length),
    acked: sum(({ sent }) => sent.filter(({ answer }) => answer !== undefined).length),
    resent: sum(({ counts }) => counts.resent),
    refused: sum(({ counts }) => counts.refused),
    timeouts: sum(({ counts }) => counts.timeouts),
    replaced: outcomes("replaced"),
    mismatched: outcomes("mismatch"),
    unanswered: outcomes("unknown")
  }
}
