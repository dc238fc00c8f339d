/**
 * Goal: the dashboard and the alerts ask for metrics that exist, with labels they have.
 * Method: every name in their expressions against docs/telemetry.md, which other tests compare with the server; and
 * `promtool` where Prometheus is installed (`apt-get install prometheus`).
 */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { codes, table } from "../Document.ts"

const deploy = path.resolve(import.meta.dirname, "../../../../deploy")
const read = (file: string) => fs.readFileSync(path.join(deploy, file), "utf8")

const documented = new Map(
  [...table("telemetry.md", "Metric"), ...table("telemetry.md", "Process metric")].map(([name, labels, kind]) => [
    codes(name)[0] ?? "",
    { labels: codes(labels), isHistogram: kind?.trim() === "histogram" }
  ])
)

/** What Prometheus adds to each series. */
const ofPrometheus = ["job", "instance", "le"]

const functions = ["histogram_quantile", "rate", "sum", "by", "predict_linear"]

interface Expression {
  readonly where: string
  readonly text: string
}

const dashboard = JSON.parse(read("grafana/light-server.json")) as {
  readonly panels: ReadonlyArray<{
    readonly title: string
    readonly targets: ReadonlyArray<{ readonly expr: string; readonly legendFormat: string }>
  }>
}

const ofDashboard: ReadonlyArray<Expression> = dashboard.panels.flatMap(({ targets, title }) =>
  targets.map(({ expr }) => ({ where: `panel ${title}`, text: expr }))
)

/** `expr: …`, also over several lines. */
const ofAlerts: ReadonlyArray<Expression> = Array.from(
  read("prometheus/alerts.yml").matchAll(/- alert: (\w+)\n\s+expr: (?:>-)?([\s\S]+?)\n\s+for:/g),
  ([, where = "", text = ""]) => ({ where, text })
)

const entryOf = (name: string) => {
  const found = documented.get(name)
  if (found !== undefined) return found.isHistogram ? undefined : found
  const histogram = documented.get(name.replace(/_(bucket|sum|count)$/, ""))
  return histogram?.isHistogram === true ? histogram : undefined
}

/** Names and labels that do not exist. */
const strangers = ({ text, where }: Expression): ReadonlyArray<string> => {
  const selectors = Array.from(text.matchAll(/\b([a-z]\w*)(?:\{([^}]*)\})?(?!\w*\()/g))
  const bare = text
    .replaceAll(/\{[^}]*\}|\[[^\]]*\]|"[^"]*"/g, " ")
    .replaceAll(/\bby \(([^)]*)\)/g, " ")
    .match(/\b[a-z]\w*\b/g)
  const unknown = (bare ?? []).filter((name) => ![...functions, "up"].includes(name) && entryOf(name) === undefined)
  const labels = selectors.flatMap(([, name = "", matchers = ""]) => {
    const known = new Set([...(entryOf(name)?.labels ?? []), ...ofPrometheus])
    return Array.from(matchers.matchAll(/(\w+)\s*=/g), ([, label = ""]) => label).filter(
      (label) => entryOf(name) !== undefined && !known.has(label)
    )
  })
  return [...unknown, ...labels].map((name) => `${where}: ${name}`)
}

describe("deploy/grafana and deploy/prometheus", () => {
  it("ask for metrics and labels that the server has", () => {
    assert.isAbove(ofDashboard.length, 15)
    assert.isAbove(ofAlerts.length, 8)
    assert.deepStrictEqual([...ofDashboard, ...ofAlerts].flatMap(strangers), [])
  })

  it("would notice a metric or a label that does not exist", () => {
    assert.deepStrictEqual(strangers({ where: "x", text: 'sum by (lane) (rate(writer_waits_bucket{lane="a"}[5m]))' }), [
      "x: writer_waits_bucket"
    ])
    assert.deepStrictEqual(strangers({ where: "x", text: 'writer_queue_depth{kind="a"} > 1' }), ["x: kind"])
    assert.deepStrictEqual(strangers({ where: "x", text: "writer_wait_seconds > 1" }), ["x: writer_wait_seconds"])
  })

  it("say for each alert what to do", () => {
    const actions = Array.from(read("prometheus/alerts.yml").matchAll(/^\s+action: ".{20,}"$/gm))
    assert.strictEqual(actions.length, ofAlerts.length)
  })

  const promtool = "/usr/bin/promtool"

  it.skipIf(!fs.existsSync(promtool))("are accepted by Prometheus itself", () => {
    const check = (...args: ReadonlyArray<string>) => execFileSync(promtool, ["check", ...args], { encoding: "utf8" })
    const rules = path.join(deploy, "prometheus/alerts.yml")
    assert.include(check("rules", rules), `SUCCESS: ${ofAlerts.length} rules found`)
    assert.include(check("config", path.join(deploy, "prometheus/prometheus.yml")), "SUCCESS")
  })
})
