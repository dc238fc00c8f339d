/**
 * Goal: documents that devices of an account share, without one losing what another one wrote.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { contract, overhear, Wire } from "../../src/contract/Wire.ts"

const base64 = (text: string) => Buffer.from(text).toString("base64")

const draft = (id: string = crypto.randomUUID()) => ({
  id,
  header: base64("header"),
  body: base64("body"),
  dataEncryptionKey: base64("key")
})

contract("Artifacts", (it) => {
  it.scoped("creates an artifact once, however many ask for it at once, and tells every app once", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { agent, app, call } = yield* person()
      const lines = { first: yield* app, second: yield* app, agent: (yield* agent).line }
      const body = draft()
      const create = call("POST /v1/artifacts", 200, { body })
      const { answer, heard, names } = yield* overhear(
        lines,
        Effect.all([create, create, create, create], { concurrency: "unbounded" })
      )
      for (const artifact of answer) {
        assert.deepStrictEqual(artifact, answer[0])
        assert.include(artifact, { ...body, headerVersion: 1, bodyVersion: 1, seq: 0 })
      }
      assert.deepStrictEqual(names, { first: ["update new-artifact"], second: ["update new-artifact"], agent: [] })
      const { id: artifactId, ...shown } = answer[0] ?? body
      assert.deepStrictEqual(heard.first[0]?.payload.body, { t: "new-artifact", artifactId, ...shown })
      const again = yield* call("POST /v1/artifacts", 200, { body: { ...body, header: base64("other") } })
      assert.deepStrictEqual(again, answer[0])
    })
  )

  it.scoped("lists the last changed first, without bodies, and reads one whole", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { call } = yield* person()
      assert.deepStrictEqual(yield* call("GET /v1/artifacts", 200), [])
      const [one, two] = [draft(), draft()]
      for (const body of [one, two]) yield* call("POST /v1/artifacts", 200, { body })
      const params = { id: one.id }
      yield* call("POST /v1/artifacts/:id", 200, {
        params,
        body: { body: "", expectedBodyVersion: 1 }
      })
      assert.deepStrictEqual(
        (yield* call("GET /v1/artifacts", 200)).map(({ id }) => id),
        [one.id, two.id]
      )
      assert.include(yield* call("GET /v1/artifacts/:id", 200, { params }), { body: "", bodyVersion: 2, seq: 1 })
      yield* call("GET /v1/artifacts/:id", 404, { params: { id: crypto.randomUUID() } })
    })
  )

  it.scoped("changes both parts or none, at the versions that are expected", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { app, call } = yield* person()
      const line = yield* app
      const { id } = yield* call("POST /v1/artifacts", 200, { body: draft() })
      const params = { id }
      const header = base64("changed")
      const change = (body: object) => call("POST /v1/artifacts/:id", 200, { params, body })
      const { answer, heard } = yield* overhear({ line }, change({ header, expectedHeaderVersion: 1 }))
      assert.deepStrictEqual(answer, { success: true, headerVersion: 2 })
      assert.deepStrictEqual(
        heard.line.map(({ payload }) => payload.body),
        [{ t: "update-artifact", artifactId: id, header: { value: header, version: 2 } }]
      )
      const both = { header: base64("h"), expectedHeaderVersion: 1, body: base64("b"), expectedBodyVersion: 1 }
      const late = yield* overhear({ line }, change(both))
      assert.deepStrictEqual(late.names, { line: [] })
      assert.deepStrictEqual(late.answer, {
        success: false,
        error: "version-mismatch",
        currentHeaderVersion: 2,
        currentHeader: header,
        currentBodyVersion: 1,
        currentBody: base64("body")
      })
      const race = Effect.all(
        ["a", "b", "c"].map((text) => change({ body: base64(text), expectedBodyVersion: 1 })),
        { concurrency: "unbounded" }
      )
      const outcomes = (yield* race).map(({ success }) => success)
      assert.deepStrictEqual(outcomes.toSorted(), [false, false, true])
    })
  )

  it.scoped("refuses what does not fit, and an id of another account", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { call } = yield* person()
      const other = yield* person()
      const body = draft()
      yield* call("POST /v1/artifacts", 200, { body })
      yield* other.call("POST /v1/artifacts", 409, { body })
      const params = { id: body.id }
      yield* other.call("POST /v1/artifacts/:id", 404, { params, body: { header: "", expectedHeaderVersion: 1 } })
      yield* other.call("DELETE /v1/artifacts/:id", 404, { params })
      for (const bad of [
        { ...body, id: "no-uuid" },
        { ...body, header: "unpadded=" },
        { ...body, header: "url-safe_" },
        { id: body.id }
      ]) {
        yield* call("POST /v1/artifacts", 400, { body: bad })
      }
      for (const bad of [{}, { header: "" }, { expectedBodyVersion: 1 }, { body: "!!", expectedBodyVersion: 1 }]) {
        yield* call("POST /v1/artifacts/:id", 400, { params, body: bad })
      }
      yield* call("POST /v1/artifacts/:id", 400, { params, body: { header: "", expectedHeaderVersion: -1 } })
    })
  )

  it.scoped("keeps a document of megabytes", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { call } = yield* person()
      const body = { ...draft(), body: Buffer.alloc(4 * 1024 * 1024, 7).toString("base64") }
      yield* call("POST /v1/artifacts", 200, { body })
      const stored = yield* call("GET /v1/artifacts/:id", 200, { params: { id: body.id } })
      assert.isTrue(stored.body === body.body)
    })
  )

  it.scoped("deletes an artifact once, and keeps its line in the feed", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { app, call } = yield* person()
      const line = yield* app
      const { id } = yield* call("POST /v1/artifacts", 200, { body: draft() })
      const { names } = yield* overhear({ line }, call("DELETE /v1/artifacts/:id", 200, { params: { id } }))
      assert.deepStrictEqual(names, { line: ["update delete-artifact"] })
      yield* call("DELETE /v1/artifacts/:id", 404, { params: { id } })
      const { changes } = yield* call("GET /v2/changes", 200)
      assert.deepInclude(
        changes.map(({ entityId, hint, kind }) => ({ entityId, hint, kind })),
        { entityId: id, hint: null, kind: "artifact" }
      )
    })
  )

  it.scoped("serves the same over a socket", () =>
    Effect.gen(function* () {
      const { ask, person } = yield* Wire
      const { app, call } = yield* person()
      const line = yield* app
      const { dataEncryptionKey, ...sent } = draft()
      const artifactId = sent.id
      const { artifact } = yield* ask(line, "artifact-create", "success", { ...sent, dataEncryptionKey })
      assert.include(artifact, { ...sent, headerVersion: 1, bodyVersion: 1 })
      assert.deepStrictEqual(yield* ask(line, "artifact-read", "success", { artifactId }), {
        result: "success",
        artifact
      })
      const data = base64("new")
      const change = { artifactId, header: { data, expectedVersion: 1 } }
      assert.deepStrictEqual(yield* ask(line, "artifact-update", "success", change), {
        result: "success",
        header: { version: 2, data }
      })
      assert.deepStrictEqual(yield* ask(line, "artifact-update", "version-mismatch", change), {
        result: "version-mismatch",
        header: { currentVersion: 2, currentData: data }
      })
      for (const [payload, message] of [
        [null, "Invalid parameters"],
        [{ artifactId }, "No updates provided"],
        [{ artifactId, header: { data: 7 } }, "Invalid header parameters"],
        [{ artifactId, body: { data: "!", expectedVersion: 1 } }, "Invalid body parameters"],
        [{ artifactId: crypto.randomUUID(), header: { data, expectedVersion: 1 } }, "Artifact not found"]
      ] as const) {
        assert.strictEqual((yield* ask(line, "artifact-update", "error", payload)).message, message)
      }
      yield* ask(line, "artifact-delete", "success", { artifactId })
      yield* ask(line, "artifact-delete", "error", { artifactId })
      yield* ask(line, "artifact-read", "error", { artifactId })
      yield* call("GET /v1/artifacts/:id", 404, { params: { id: artifactId } })
      const foreign = draft()
      yield* (yield* person()).call("POST /v1/artifacts", 200, { body: foreign })
      const { message } = yield* ask(line, "artifact-create", "error", foreign)
      assert.strictEqual(message, "Artifact already exists")
      yield* ask(line, "artifact-create", "error", { ...foreign, id: "no-uuid" })
    })
  )
})
