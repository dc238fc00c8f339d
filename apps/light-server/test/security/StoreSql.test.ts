/**
 * Goal: no statement of a store changes rows that the account of the request
 * does not own. Method: every statement in the sources that changes rows is
 * found. It names the account in its predicate, or is in the list below with
 * the reason why it need not. A listed statement that no longer exists fails
 * the test too.
 */
import { assert, describe, it } from "@effect/vitest"
import fs from "node:fs"
import path from "node:path"

const repository = path.resolve(import.meta.dirname, "../../../..")

const sources = ["apps/light-server/src", "packages/presence-effect/src"]

/** Those that no request reaches: migrations, adoption and import, and what the library ships for tests. */
const offline = ["migration", "adoption", "testing"]

/** For database servers: the library writes presence there, and migrations are applied and rows copied at a start. */
const servers = ["postgres", "mysql"]

const filesBelow = (folder: string): ReadonlyArray<string> =>
  fs
    .readdirSync(path.join(repository, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => `${folder}/${file.replaceAll(path.sep, "/")}`)

/** Text in quotes or backticks, with what stands between the braces of a template left out. */
const textsOf = (source: string): ReadonlyArray<string> =>
  [...source.replace(/^\s*(\*|\/\/).*$/gm, "").matchAll(/`((?:[^`\\]|\\.)*)`|"((?:[^"\\\n]|\\.)*)"/g)].map(
    ([, template = "", quoted = ""]) => (template || quoted).replace(/\s+/g, " ").trim()
  )

interface Statement {
  readonly file: string
  readonly sql: string
}

const changing = /\b(UPDATE\s+["$A-Z]|DELETE FROM\s|DO UPDATE SET)/

const statements: ReadonlyArray<Statement> = sources
  .flatMap(filesBelow)
  .filter((file) => ![...offline, ...servers].some((folder) => file.includes(`/src/${folder}/`)))
  .flatMap((file) =>
    textsOf(fs.readFileSync(path.join(repository, file), "utf8"))
      .filter((text) => changing.test(text))
      .map((sql) => ({ file: path.basename(file), sql }))
  )

/** The account in the predicate: by name, as the id of its own row, or as an entry that brings it. */
const namesAccount = ({ sql }: Statement) => {
  const predicate = sql.slice(sql.search(/\bWHERE\b|\bON CONFLICT\b/))
  return (
    /"(responseA|a)ccountId" = \?/.test(predicate) ||
    /ON CONFLICT \("accountId"/.test(predicate) ||
    predicate.includes("${ownSession}") ||
    predicate.includes("${ofAccount}") ||
    predicate.includes("${isNamedBy(shape, entry)}") ||
    (sql.startsWith('UPDATE "Account"') && /"id" = \?/.test(predicate))
  )
}

/** Why a statement that does not name the account touches nothing of another one. */
const proofs: ReadonlyArray<readonly [file: string, begin: string, reason: string]> = [
  ["AccountRemoval.ts", "DELETE FROM ${quoted(table)}", "rows of an account that the operator deletes, by its id"],
  ["AccountRemoval.ts", `DELETE FROM "Account"`, "the account that the operator deletes"],
  ["AccountStore.ts", `INSERT INTO "Account"`, "the row of the key that the login has proven"],
  ["PairingStore.ts", `DELETE FROM "\${table}" WHERE "id" IN (SELECT`, "expired requests, which have no owner"],
  [
    "PairingStore.ts",
    `DELETE FROM "\${table}" WHERE "id" IN ( SELECT`,
    "requests beyond the limit, which have no owner"
  ],
  ["PairingStore.ts", `UPDATE "\${table}" SET "response"`, "an unanswered request, by its key"],
  ["UsageStore.ts", "DO UPDATE SET", "the tail of two statements whose conflict is of the account and the key"],
  ["Quota.ts", `DELETE FROM "PresenceAccountUsage"`, "the totals of all accounts, which are counted anew"],
  ["QuotaTriggers.ts", `UPDATE "PresenceAccountUsage" SET`, "a trigger: the account is that of the row that changes"],
  ["QuotaTriggers.ts", "AFTER UPDATE OF", "the head of a trigger, which changes nothing by itself"],
  ["Readiness.ts", `INSERT INTO "ServerHeartbeat"`, "the row of the server itself"],
  ["Readiness.ts", `UPDATE "Account" SET "seq" = "seq" WHERE "id" = ''`, "no row at all: it asks for the lock"]
]

const proofOf = ({ file, sql }: Statement) =>
  proofs.findIndex(([name, begin]) => name === file && sql.startsWith(begin))

describe("statements that change rows", () => {
  it("are found in every store", () => {
    const files = new Set(statements.map(({ file }) => file))
    for (const file of [
      "MachineStore.ts",
      "SessionStore.ts",
      "SessionRemoval.ts",
      "MessageStore.ts",
      "caseUpdate.ts"
    ]) {
      assert.isTrue(files.has(file), file)
    }
  })

  it("name the account in their predicate, or have a reason not to", () => {
    const loose = statements.filter((statement) => !namesAccount(statement) && proofOf(statement) === -1)
    assert.deepStrictEqual(loose, [])
  })

  it("need every reason that is given", () => {
    const used = new Set(statements.filter((statement) => !namesAccount(statement)).map(proofOf))
    assert.deepStrictEqual(
      proofs.filter((_, index) => !used.has(index)),
      []
    )
  })

  it("would be found without their account", () => {
    const judged = (sql: string) => namesAccount({ file: "Any.ts", sql })
    assert.isFalse(judged(`UPDATE "Session" SET "metadata" = ? WHERE "id" = ?`))
    assert.isFalse(judged(`UPDATE "Session" SET "accountId" = ? WHERE "id" = ?`))
    assert.isFalse(judged(`DELETE FROM "Session"`))
    assert.isTrue(judged(`UPDATE "Session" SET "metadata" = ? WHERE "id" = ? AND "accountId" = ?`))
  })
})
