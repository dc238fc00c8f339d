/** What `npm test` runs is seeded: the same inputs each time. `TEST_SEED` chooses others. */
const seeded = { setupFiles: [new URL("test/fixedSeed.ts", import.meta.url).pathname] }

const project = (name: string, root: string, test: object = {}) => ({
  extends: true as const,
  root,
  resolve: { conditions: ["presence-effect-source"] },
  ssr: { resolve: { conditions: ["presence-effect-source"] } },
  // Limits against a hang: on a busy box everything takes many times as long as it needs.
  test: { name, include: ["test/**/*.test.ts"], testTimeout: 60_000, hookTimeout: 60_000, ...test }
})

/**
 * One project per package, one for the tests about the repository itself, and two for `apps/proving`: `smoke` belongs
 * to `npm test`, `proving` to `npm run prove`.
 */
export default [
  project("presence-effect", "packages/presence-effect", seeded),
  project("light-server", "apps/light-server", seeded),
  project("contention-lab", "apps/contention-lab", seeded),
  project("repo", ".", { include: ["test/*.test.ts"] }),
  project("smoke", "apps/proving", { ...seeded, include: ["test/smoke/*.test.ts"] }),
  project("proving", "apps/proving", { exclude: ["**/node_modules/**", "test/smoke/**"] })
]
