/**
 * What the server remembers for a while: up to a number of entries, of which the least recently used one is forgotten
 * first.
 */
// oxlint-disable-next-line no-restricted-imports -- here, and nowhere else
import { LRUCache } from "lru-cache"

export type LruCache<V extends {}> = LRUCache<string, V>

type Options<V extends {}> = Pick<LRUCache.Options<string, V, unknown>, "dispose" | "perf" | "ttl">

/**
 * Its memory grows with what it remembers. Told a number of entries, the library reserves room for all of them at once,
 * which was 10 MB over all caches of a server that remembers nothing yet; told a size, of which each entry has 1, it
 * does not.
 */
export const make = <V extends {}>(entriesMax: number, options: Options<V> = {}): LruCache<V> =>
  new LRUCache<string, V>({ ...options, maxSize: entriesMax, sizeCalculation: () => 1 })
