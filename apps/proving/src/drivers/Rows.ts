/**
 * Accounts and what belongs to them, put into a database before a test begins.
 */
import type Sqlite from "better-sqlite3"

interface Database {
  readonly sqlite: Sqlite.Database
}

export const addAccount = ({ sqlite }: Database, id: string) => {
  sqlite
    .prepare(`INSERT INTO "Account" ("id", "publicKey", "createdAt", "updatedAt") VALUES (?, ?, 1, 1)`)
    .run(id, `key of ${id}`)
}

export const addSession = ({ sqlite }: Database, accountId: string, id: string) => {
  sqlite
    .prepare(
      `INSERT INTO "Session" ("id", "tag", "accountId", "metadata", "lastActiveAt", "createdAt", "updatedAt")
       VALUES (?, ?, ?, 'sealed', 5, 5, 5)`
    )
    .run(id, id, accountId)
}

/** Account `a1` with the session `s1`, and `a2` with `s2`. */
export const addTwoSessions = (database: Database) => {
  for (const number of [1, 2]) {
    addAccount(database, `a${number}`)
    addSession(database, `a${number}`, `s${number}`)
  }
}

/** Messages 1 to `count` of a session, as if they had been sent. */
export const addMessages = ({ sqlite }: Database, sessionId: string, count: number, bytes = 1) => {
  const insert = sqlite.prepare(
    `INSERT INTO "SessionMessage" ("id", "sessionId", "localId", "seq", "content", "createdAt", "updatedAt")
     VALUES (?, ?, ?, ?, ?, ?, ?)`
  )
  sqlite.transaction(() => {
    for (let seq = 1; seq <= count; seq++) {
      const content = JSON.stringify({ t: "encrypted", c: "x".repeat(bytes) })
      insert.run(`${sessionId}-m${seq}`, sessionId, `l${seq}`, seq, content, seq, seq)
    }
    sqlite.prepare(`UPDATE "Session" SET "seq" = ? WHERE "id" = ?`).run(count, sessionId)
  })()
}
