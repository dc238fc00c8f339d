/**
 * `layer` of `@effect/vitest` replaces `effect` and `scoped` of the one `it` that all files of a worker share when they
 * are not isolated. This gives each file the originals back.
 */
import { it, makeMethods } from "@effect/vitest"

makeMethods(it)
