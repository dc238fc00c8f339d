/**
 * The words for how much is logged.
 *
 * @since 0.1.0
 */

/**
 * From most to least, as pino names them.
 *
 * @category constants
 * @since 0.1.0
 */
export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const

/**
 * @category models
 * @since 0.1.0
 */
export type LogLevelName = (typeof logLevels)[number]
