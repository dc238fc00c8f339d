/**
 * Fills a registry of presence in a process of its own, step by step, and
 * prints what the process needs after each.
 */
import * as PresenceRegistry from "presence-effect/presence/PresenceRegistry"

const [countText = "0", stepText = "1"] = process.argv.slice(2)
const count = Number(countText)
const step = Number(stepText)
const registry = PresenceRegistry.make(
  { session: { accountId: "accountId" } },
  {
    acceptanceWindow: "10 minutes",
    persistThreshold: "30 seconds",
    offlineTimeout: "10 minutes",
    disconnectGrace: "15 seconds",
    capacity: count
  }
)

/** As long as real ones are, 25 characters; made each time, as those that come over the wire are. */
const beat = (index: number) => {
  const now = Date.now()
  const id = `csession${String(index).padStart(17, "0")}`
  const key = { kind: "session", accountId: "caccountaccountaccount000", id }
  return registry.beat(key, now, now)
}

const resident = () => {
  global.gc?.()
  global.gc?.()
  return process.memoryUsage.rss()
}

const sizes = [{ tracked: 0, bytes: resident() }]
for (let index = 0; index < count; index++) {
  beat(index)
  if ((index + 1) % step !== 0) continue
  // The steady state: all of it is in the database.
  const { entries } = registry.takeDirty()
  registry.confirm({ written: entries, superseded: [], missing: [] })
  sizes.push({ tracked: registry.trackedCount(), bytes: resident() })
}
process.stdout.write(JSON.stringify({ sizes, beyond: beat(count), tracked: registry.trackedCount() }))
