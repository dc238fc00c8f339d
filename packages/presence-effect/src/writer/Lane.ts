/**
 * The queues a write can wait in, named after the kind of writes.
 *
 * A lane is a value: a host may add lanes, leave some out, and order them as it
 * likes in its `WriterPolicy`. The writer refers to no lane by name.
 *
 * @example
 * import { strictEqual, throws } from "node:assert/strict"
 * import * as Lane from "presence-effect/writer/Lane"
 * import * as WriterPolicy from "presence-effect/writer/WriterPolicy"
 *
 * const imports = Lane.make("imports")
 * const terms = WriterPolicy.defaults.lanes.find(({ lane }) => lane === Lane.data)!
 * const policy = WriterPolicy.addLane(WriterPolicy.defaults, { ...terms, lane: imports }, Lane.presence)
 *
 * strictEqual(policy.lanes[2]?.lane, imports)
 * throws(() => Lane.make("Imports of files"))
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * Schema of a lane: a short lower-case name. It becomes a metric label and a
 * field of errors, so the alphabet is closed.
 *
 * @category models
 * @since 0.1.0
 */
export const Lane = Schema.String.pipe(
  Schema.pattern(/^[a-z][a-z0-9-]{0,31}$/, {
    message: () => "a lane is named with 1 to 32 of a-z, 0-9 and -, a letter first"
  }),
  Schema.brand("presence-effect/writer/Lane")
)

/**
 * @category models
 * @since 0.1.0
 */
export type Lane = typeof Lane.Type

/**
 * Makes a lane from its name.
 *
 * **Errors**: throws a `ParseError` when the name does not fit; a lane is a
 * constant of the program, so that is a mistake of its author.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (name: string): Lane => Schema.decodeUnknownSync(Lane)(name)

/**
 * Writes that a client waits for: registration, login, pairing, session create, end
 * and delete, settings.
 *
 * @category lanes
 * @since 0.1.0
 */
export const control: Lane = make("control")

/**
 * Writes of running sessions: messages, compare-and-set of metadata and state,
 * usage.
 *
 * @category lanes
 * @since 0.1.0
 */
export const data: Lane = make("data")

/**
 * The flush of heartbeats and the offline sweep.
 *
 * @category lanes
 * @since 0.1.0
 */
export const presence: Lane = make("presence")

/**
 * Checkpoints, pruning, the bookkeeping of backups.
 *
 * @category lanes
 * @since 0.1.0
 */
export const maintenance: Lane = make("maintenance")
