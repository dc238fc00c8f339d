/**
 * Loaded into the server before anything else: how long its event loop stands
 * still. A timer asks to be called every millisecond; what lies between two calls
 * beyond that is a gap. A line `loop-gaps {…}` on standard output answers SIGUSR2.
 */
const askedMillis = 1
let gaps = []
let last = performance.now()

const tick = () => {
  const now = performance.now()
  gaps.push(Math.max(0, now - last - askedMillis))
  last = now
  setTimeout(tick, askedMillis).unref()
}
setTimeout(tick, askedMillis).unref()

process.on("SIGUSR2", () => {
  const sorted = gaps.toSorted((a, b) => a - b)
  gaps = []
  const summary = { p99: sorted[Math.floor(sorted.length * 0.99)] ?? 0, max: sorted.at(-1) ?? 0 }
  process.stdout.write(`loop-gaps ${JSON.stringify(summary)}\n`)
})
