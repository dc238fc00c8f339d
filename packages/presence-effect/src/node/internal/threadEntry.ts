/** Node 20 runs no TypeScript in a thread: seen from the sources, the entry is the built one. */
export const entry = new URL(
  import.meta.url.endsWith(".ts") ? "../../../dist/node/internal/sqliteThreadEntry.js" : "./sqliteThreadEntry.js",
  import.meta.url
)
