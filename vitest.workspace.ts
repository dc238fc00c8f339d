const project = (name: string, root: string) => ({
  extends: true as const,
  root,
  resolve: { conditions: ["source"] },
  ssr: { resolve: { conditions: ["source"] } },
  test: { name, include: ["test/**/*.test.ts"], testTimeout: 20_000, hookTimeout: 30_000 }
})

/** One project per package, one for the tests about the repository itself. */
export default [
  project("presence-effect", "packages/presence-effect"),
  project("light-server", "apps/light-server"),
  project("contention-lab", "apps/contention-lab"),
  project("proving", "apps/proving"),
  { ...project("repo", "."), test: { name: "repo", include: ["test/*.test.ts"], testTimeout: 60_000 } }
]
