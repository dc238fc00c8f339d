/**
 * Adds up what `.ci/run` collected: the results of the tests, one more for every
 * check, and prints `N passed, N failed[, N skipped]`. Fails unless all passed.
 *
 * Usage: node scripts/tally.mjs FOLDER TESTS_EXIT_CODE CHECKS_EXIT_CODE
 */
import { existsSync, readFileSync } from "node:fs"
import path from "node:path"

const [folder, ...exitCodes] = process.argv.slice(2)
const [testsExit, checksExit] = exitCodes.map(Number)

/** A step that failed without naming a failure (no report, a hang, an error between tests) counts as one. */
const completed = (counts, exitCode) => (exitCode !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts)

const readTests = () => {
  const file = path.join(folder, "tests.json")
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
  const lines = readFileSync(path.join(folder, "checks.txt"), "utf8").split("\n")
  const count = (verdict) =>
    lines.filter((line) => new RegExp(`^${verdict} [a-z-]+ \\([0-9.]+ s\\)$`).test(line)).length
  return { passed: count("pass"), failed: count("fail"), skipped: 0 }
}

const tests = completed(readTests(), testsExit)
const checks = completed(readChecks(), checksExit)
const passed = tests.passed + checks.passed
const failed = tests.failed + checks.failed
const skipped = tests.skipped + checks.skipped

console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`)
process.exitCode = failed === 0 && passed > 0 ? 0 : 1
