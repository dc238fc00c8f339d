/** The words for how much is logged. */

/** From most to least, as pino names them. */
export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const

export type LogLevelName = (typeof logLevels)[number]
