/**
 * Goal: dashboards and alerts ask for metrics that the server has.
 * Method: compare their expressions with the table in docs/telemetry.md, which a test of the server compares with what
 * it serves, and let promtool read them where it is installed.
 */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import fs from "node:fs"
import os from "node:os"
import path from "node:path"
import { read, root } from "./sources.ts"

const rules = "deploy/prometheus/light-server.rules.yml"
const rulesTest = "light-server.rules.test.yml"
const dashboard = "deploy/grafana/light-server.json"

interface Panel {
  readonly id: number
  readonly title: string
  readonly description: string
  readonly targets: ReadonlyArray<{ readonly expr: string }>
}

const panels: ReadonlyArray<Panel> = JSON.parse(read(dashboard)).panels

/** With the variables of Grafana replaced by something of their kind. */
const dashboardExpressions = panels.flatMap(({ targets }) =>
  targets.map(({ expr }) => expr.replaceAll("$__rate_interval", "5m").replaceAll("$instance", ".*"))
)

/** The lines of each `expr` of the rules. */
const ruleExpressions = Array.from(
  read(rules).matchAll(/^ +expr: (?:>-\n)?([^]*?)\n {8}(?:for|labels):/gm),
  ([, text = ""]) => text.replaceAll(/\s+/g, " ")
)

/** Every metric of the server with what Prometheus makes of a histogram, and its labels. */
const known = new Map<string, ReadonlySet<string>>()
for (const [, name = "", labels = "", kind] of read("docs/telemetry.md").matchAll(
  /^\| `([a-z_]+)` \|(.*?)\| (counter|gauge|histogram) \|/gm
)) {
  const names = kind === "histogram" ? ["_bucket", "_sum", "_count"].map((end) => name + end) : [name]
  const own = Array.from(labels.matchAll(/`(\w+)`/g), ([, label = ""]) => label)
  for (const each of names) known.set(each, new Set([...own, ...(kind === "histogram" ? ["le"] : [])]))
}

/** What Prometheus adds to every series. */
const added = new Set(["instance", "job"])

/** Names and labels of an expression that no metric has. */
const strangersIn = (expression: string): ReadonlyArray<string> => {
  const metrics = Array.from(expression.matchAll(/\b([a-z]+(?:_[a-z0-9]+)+)\b(?!\s*\()(?:\{([^}]*)\})?/g)).filter(
    ([, name = ""]) => !["histogram_quantile"].includes(name)
  )
  return metrics.flatMap(([, name = "", selector = ""]) => {
    const labels = known.get(name)
    if (labels === undefined) return [name]
    const asked = Array.from(selector.matchAll(/(\w+)\s*(?:=~|!=|!~|=)/g), ([, label = ""]) => label)
    return asked.filter((label) => !labels.has(label) && !added.has(label)).map((label) => `${name}{${label}}`)
  })
}

const hasPromtool = spawnSync("promtool", ["--version"]).error === undefined

const promtool = (args: ReadonlyArray<string>, cwd: string) => {
  const { status, stderr, stdout } = spawnSync("promtool", args, { cwd, encoding: "utf8" })
  return { status, output: stdout + stderr }
}

describe("dashboards and alerts", () => {
  it("are read by this test", () => {
    assert.isAtLeast(ruleExpressions.length, 10)
    assert.isAtLeast(dashboardExpressions.length, 15)
    assert.isAtLeast(known.size, 60)
    assert.deepStrictEqual(strangersIn(`rate(server_redy[5m]) + disk_free_bytes{lane="a"}`), [
      "server_redy",
      "disk_free_bytes{lane}"
    ])
  })

  it("ask only for metrics and labels that the server has", () => {
    assert.deepStrictEqual([...ruleExpressions, ...dashboardExpressions].flatMap(strangersIn), [])
  })

  it("say what each panel shows, and give each alert a severity and an action", () => {
    assert.deepStrictEqual(
      panels.filter(({ description, title }) => description === "" || title === ""),
      []
    )
    assert.strictEqual(new Set(panels.map(({ id }) => id)).size, panels.length)
    const alerts = read(rules).split("- alert: ").slice(1)
    assert.deepStrictEqual(
      alerts.filter((alert) => !/severity: (critical|warning|info)/.test(alert) || !/action: \S/.test(alert)),
      []
    )
  })

  it.skipIf(!hasPromtool)("are understood by Prometheus, and fire when they should", () => {
    const directory = path.join(root, "deploy/prometheus")
    const checked = promtool(["check", "rules", path.basename(rules)], directory)
    assert.strictEqual(checked.status, 0, checked.output)
    const tested = promtool(["test", "rules", rulesTest], directory)
    assert.strictEqual(tested.status, 0, tested.output)

    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "light-server-rules-"))
    try {
      const records = dashboardExpressions.map((expr, index) => ({ record: `panel_${index}`, expr }))
      // JSON is YAML.
      fs.writeFileSync(
        path.join(folder, "panels.yml"),
        JSON.stringify({ groups: [{ name: "panels", rules: records }] })
      )
      const shown = promtool(["check", "rules", "panels.yml"], folder)
      assert.strictEqual(shown.status, 0, shown.output)
    } finally {
      fs.rmSync(folder, { recursive: true })
    }
  })
})
