/**
 * What `npm test` runs is seeded: the same inputs each time. `TEST_SEED` chooses others.
 */
const inMemory = {
  exclude: ["**/node_modules/**", "test/real/**"],
  setupFiles: ["test/fixedSeed.ts", "test/ownTestMethods.ts"].map((file) => new URL(file, import.meta.url).pathname)
}

const resolve = {
  conditions: ["presence-effect-source"],
  // From wherever it is imported: a thread that is not bundled starts as well, and only the time shows it.
  alias: [
    { find: /^.*\/threadEntry\.ts$/, replacement: new URL("test/bundledThreadEntry.ts", import.meta.url).pathname }
  ]
}

/** Starts or finds the database servers for a project whose tests need one. */
const servers = [new URL("packages/presence-effect/test/support/databaseServers.ts", import.meta.url).pathname]

const project = (name: string, root: string, test: object = {}) => ({
  extends: true as const,
  root,
  resolve,
  ssr: { resolve: { conditions: ["presence-effect-source"] } },
  // Limits against a hang: on a busy box everything takes many times as long as it needs.
  test: { name, include: ["test/**/*.test.ts"], testTimeout: 60_000, hookTimeout: 60_000, ...test }
})

/**
 * One project per package, one for the tests about the repository itself, and four for `apps/proving`: `smoke`
 * belongs to `npm test`, `proving`, `proving-postgres` and `proving-faults` to `npm run prove`. So does `proving-real`:
 * tests of the packages that need real processes or measure real time, in `test/real` of each.
 */
export default [
  project("presence-effect", "packages/presence-effect", {
    ...inMemory,
    globalSetup: servers,
    include: ["{test,examples}/**/*.test.ts"]
  }),
  project("light-server", "apps/light-server", { ...inMemory, globalSetup: servers }),
  project("contention-lab", "apps/contention-lab", inMemory),
  project("example-host", "apps/example-host", inMemory),
  project("repo", ".", { include: ["test/*.test.ts"] }),
  project("smoke", "apps/proving", { ...inMemory, globalSetup: servers, include: ["test/smoke/*.test.ts"] }),
  project("proving-real", ".", {
    globalSetup: servers,
    include: ["{packages,apps}/*/test/real/**/*.test.ts"]
  }),
  project("proving", "apps/proving", {
    exclude: ["**/node_modules/**", "test/smoke/**", "test/faults/**"],
    globalSetup: servers
  }),
  // The wire contract again, with PostgreSQL as the database of the server.
  project("proving-postgres", "apps/proving", {
    include: ["test/contract/*.test.ts"],
    globalSetup: servers,
    setupFiles: [new URL("apps/proving/test/skippedWithoutPostgres.ts", import.meta.url).pathname],
    env: { CONTRACT_DATABASE: "postgres" }
  }),
  // They compare times with a control of the same run, so nothing runs beside them.
  project("proving-faults", "apps/proving", { include: ["test/faults/*.test.ts"], sequence: { groupOrder: 1 } })
]
