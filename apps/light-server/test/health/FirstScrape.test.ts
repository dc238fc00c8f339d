/**
 * Goal: operators can write their alerts from docs/telemetry.md alone.
 * Method: the names of all metrics that the sources make, and those that a server serves before anything has happened,
 * against the table.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"
import * as ServerConfig from "../../src/config/ServerConfig.ts"
import { HttpListener } from "../../src/http/HttpListener.ts"
import * as LightServer from "../../src/LightServer.ts"
import { codes, table } from "../Document.ts"

const root = path.resolve(import.meta.dirname, "../../../..")

const listed = (head: string) =>
  table("telemetry.md", head).map(([name, labels]) => ({
    name: codes(name)[0] ?? "",
    labels: codes(labels).toSorted()
  }))

const documented = listed("Metric")

/** Those of the process and its runtime, which a library makes. */
const ofProcess = listed("Process metric")

/** What Node knows about the process on Linux only. */
const onLinux = new Set(["process_virtual_memory_bytes", "process_heap_bytes", "process_open_fds", "process_max_fds"])

/** `Metric.counter("name"`, `Tally.gauge("name"`, `seconds("name"`: every way in which the sources make a metric. */
const made = /\b(?:counter|gauge|histogram|seconds)(?:<[^>]*>)?\(\s*"([a-z][a-z0-9_]*)"/g

const sourceNames = ["apps/light-server/src", "packages/presence-effect/src"].flatMap((folder) =>
  fs
    .readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) => {
      const text = fs.readFileSync(path.join(root, folder, file), "utf8")
      return Array.from(text.matchAll(made), (match) => match[1] ?? "")
    })
)

describe("telemetry.md", () => {
  it("lists exactly the metrics that the sources make, labelled ones included", () => {
    assert.sameMembers(
      [...new Set(sourceNames)],
      documented.map(({ name }) => name)
    )
  })

  it.scopedLive("lists exactly what a new server serves at its first scrape, with these labels", () =>
    Effect.gen(function* () {
      const directory = yield* TemporaryDirectory.make
      const { config } = yield* ServerConfig.load({
        HOME: directory,
        HAPPIER_SERVER_LIGHT_DATA_DIR: path.join(directory, "data"),
        PORT: "0"
      })
      const text = yield* Effect.gen(function* () {
        const { url } = yield* HttpListener
        return yield* Effect.promise(() => fetch(`${url}/metrics`).then((response) => response.text()))
      }).pipe(Effect.provide(LightServer.layer(config)))
      const families = Array.from(text.matchAll(/^# TYPE (\S+) \S+$/gm), (match) => match[1] ?? "")
      const served = [...documented, ...ofProcess].filter(
        ({ name }) => process.platform === "linux" || !onLinux.has(name)
      )
      assert.sameMembers(
        families,
        served.map(({ name }) => name)
      )
      for (const { labels, name } of served) {
        const sample = new RegExp(`^${name}(?:_count)?(?:\\{(.*)\\})? `, "m").exec(text)
        assert.isNotNull(sample, `${name} has no series`)
        const found = Array.from((sample?.[1] ?? "").matchAll(/(\w+)="/g), (match) => match[1] ?? "").filter(
          (label) => label !== "le"
        )
        assert.deepStrictEqual(found.toSorted(), labels, name)
      }
    })
  )
})
