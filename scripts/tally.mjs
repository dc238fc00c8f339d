/**
 * Adds up what `.ci/run` collected: the results of the tests, one more for every check, and prints
 * `N passed, N failed[, N skipped]`. Fails unless all passed.
 */
import { existsSync, readFileSync } from "node:fs"
import path from "node:path"

const [folder, ...steps] = process.argv.slice(2)
if (folder === undefined || folder === "--help" || folder === "-h") {
  console.log(`usage: node scripts/tally.mjs FOLDER tests=CODE prove=CODE checks=CODE

The codes are those the steps ended with. FOLDER holds tests.json, prove.json and checks.txt.`)
  process.exit(folder === undefined ? 2 : 0)
}

const readTests = (name) => {
  const file = path.join(folder, `${name}.json`)
  if (!existsSync(file)) return { passed: 0, failed: 0, skipped: 0 }
  const report = JSON.parse(readFileSync(file, "utf8"))
  // A test file that cannot be loaded has no tests to count, yet it failed.
  const broken = report.testResults.filter((each) => each.status === "failed" && each.assertionResults.length === 0)
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests + report.numTodoTests
  }
}

const readChecks = () => {
  const file = path.join(folder, "checks.txt")
  const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n") : []
  const count = (verdict) =>
    lines.filter((line) => new RegExp(`^${verdict} [a-z-]+ \\([0-9.]+ s\\)$`).test(line)).length
  return { passed: count("pass"), failed: count("fail"), skipped: 0 }
}

/**
 * A step that failed without naming a failure (no report, a hang, an error between tests) counts as one, and so does
 * one that ended well and left no result.
 */
const completed = (counts, exitCode) => {
  const isHollow = counts.failed === 0 && (exitCode !== 0 || counts.passed === 0)
  return isHollow ? { ...counts, failed: 1 } : counts
}

const total = { passed: 0, failed: 0, skipped: 0 }
for (const step of steps) {
  const [name, exitCode] = step.split("=")
  const counts = completed(name === "checks" ? readChecks() : readTests(name), Number(exitCode))
  for (const verdict of Object.keys(total)) total[verdict] += counts[verdict]
}

console.log(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ""}`)
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1
