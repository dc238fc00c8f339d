/** Logs: one JSON line per event, each with a `code`. */
import { Array as Arr, Cause, Context, Effect, HashMap, Layer, Logger, LogLevel, Metric, Schedule } from "effect"
import pino from "pino"
import * as FinalizerLimit from "../FinalizerLimit.ts"
import type { LogLevelName } from "../LogLevels.ts"
import * as LogOutput from "./LogOutput.ts"
import * as LogLimit from "./LogLimit.ts"
import * as LogMetrics from "./LogMetrics.ts"
import * as LogRollup from "./LogRollup.ts"
import { LogThreshold } from "./LogThreshold.ts"

/** Fields that hold a key, a token or the content of a client. */
const secretFields = new RegExp(
  "token|secret|authorization|password|signature|challenge|publickey|encryptionkey|credential|^body$|metadata" +
    "|ciphertext",
  "i"
)

/** The form of a token, wherever it occurs. */
const tokenText = /\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g
const bearerText = /\bBearer\s+\S+/gi

const textLengthMax = 4096

const cleanText = (text: string): string =>
  text.replace(tokenText, "[redacted]").replace(bearerText, "Bearer [redacted]").slice(0, textLengthMax)

const cleanValue = (name: string, value: unknown): unknown => {
  if (secretFields.test(name)) return "[redacted]"
  if (typeof value === "string") return cleanText(value)
  if (value === null || ["number", "boolean", "undefined"].includes(typeof value)) return value
  if (value instanceof Error) return cleanText(value.stack ?? value.message)
  // Anything else: its text, with the names inside it checked too.
  return cleanText(
    String(
      JSON.stringify(value, (inner, part: unknown) =>
        secretFields.test(inner) ? "[redacted]" : typeof part === "bigint" ? String(part) : part
      )
    )
  )
}

const levelNames: { readonly [label: string]: Exclude<LogLevelName, "silent"> } = {
  TRACE: "trace",
  DEBUG: "debug",
  INFO: "info",
  WARN: "warn",
  ERROR: "error",
  FATAL: "fatal"
}

const levels: { readonly [Name in LogLevelName]: LogLevel.LogLevel } = {
  trace: LogLevel.Trace,
  debug: LogLevel.Debug,
  info: LogLevel.Info,
  warn: LogLevel.Warning,
  error: LogLevel.Error,
  fatal: LogLevel.Fatal,
  silent: LogLevel.None
}

/** Codes are words in capitals; the tag of an error is one too. */
const codeOf = (fields: { readonly [name: string]: unknown }, cause: Cause.Cause<unknown>): string => {
  if (typeof fields["code"] === "string") return fields["code"]
  const failure = Cause.failureOption(cause)
  if (
    failure._tag === "Some" &&
    typeof failure.value === "object" &&
    failure.value !== null &&
    "_tag" in failure.value
  ) {
    return String(failure.value._tag)
  }
  return Cause.isEmpty(cause) ? "LOG" : "DEFECT"
}

const lineOf = ({ annotations, cause, logLevel, message }: Logger.Logger.Options<unknown>): LogRollup.Line => {
  const parts = Arr.ensure(message)
  const texts = parts.filter((part) => typeof part === "string")
  const details = parts.filter((part) => typeof part !== "string")
  const fields: Record<string, unknown> = {}
  for (const [name, value] of HashMap.entries(annotations)) fields[name] = cleanValue(name, value)
  fields["code"] = codeOf(fields, cause)
  if (details.length > 0) fields["detail"] = cleanValue("detail", details.length === 1 ? details[0] : details)
  if (!Cause.isEmpty(cause)) fields["error"] = cleanText(Cause.pretty(cause))
  const level = levelNames[logLevel.label] ?? "info"
  const text = cleanText(texts.join(" "))
  // Ids and times differ from line to line; the other fields determine the kind. For a line without a code of its own,
  // all its fields do.
  const names = fields["code"] === "LOG" ? Object.keys(fields).toSorted() : ["route", "status", "lane"]
  const kind = names.map((name) => String(fields[name] ?? ""))
  return { level, key: [level, fields["code"], text, ...kind].join("\u0000"), fields, message: text }
}

export interface Options {
  /** The level at the start; `LogThreshold` changes it. */
  readonly level: LogLevelName
  /** Where lines go: standard output, unless given. */
  readonly write?: (line: string) => void
  /** Lines of one kind within this time are reported as one. */
  readonly rollupMillis?: number
  /** Lines beyond are dropped and counted. */
  readonly bytesPerMinute?: number
}

/** Longest wait at the end for a reader that does not read. */
const flushTimeout = "500 millis"

const makeThreshold = (first: LogLevelName) => {
  let name = first
  return {
    /** Compared here and not by the fiber, whose own minimum cannot be changed from outside. */
    includes: ({ ordinal }: LogLevel.LogLevel) => ordinal >= levels[name].ordinal,
    service: LogThreshold.of({
      get: Effect.sync(() => name),
      set: (level) => Effect.sync(() => void (name = level))
    })
  }
}

/**
 * Replaces the default logger. Lines below the level are dropped before they are
 * built; repeated lines are rolled up, except at `debug` and below, where each
 * one is wanted.
 */
export const layer = (options: Options): Layer.Layer<LogThreshold> =>
  Layer.unwrapScoped(
    Effect.gen(function* () {
      const clock = yield* Effect.clock
      const suppressed = () => LogMetrics.logLinesSuppressed.unsafeUpdate(1, [])
      const output: LogOutput.LogOutput =
        options.write === undefined ? LogOutput.standard(suppressed) : { write: options.write, flush: Effect.void }
      const destination = {
        write: LogLimit.make({
          windowMillis: 60_000,
          bytesMax: options.bytesPerMinute ?? 1_048_576,
          now: () => clock.unsafeCurrentTimeMillis(),
          write: output.write,
          dropped: suppressed
        })
      }
      const formatters = { level: (level: string) => ({ level }) }
      const threshold = makeThreshold(options.level)
      const out = pino({ level: "trace", base: null, messageKey: "message", formatters }, destination)
      const emit = ({ fields, level, message }: LogRollup.Line) =>
        out[level as Exclude<LogLevelName, "silent">](fields, message)
      const rollup = LogRollup.make({
        windowMillis: options.rollupMillis ?? 60_000,
        capacity: 500,
        write: emit,
        suppressed
      })
      const logger = Logger.make<unknown, void>((entry) => {
        if (!threshold.includes(entry.logLevel)) return
        const line = lineOf(entry)
        if (line.level === "debug" || line.level === "trace") emit(line)
        else rollup.offer(line, entry.date.getTime())
      })
      yield* Effect.addFinalizer(() =>
        Effect.zipRight(Effect.sync(rollup.close), FinalizerLimit.within(flushTimeout)(output.flush))
      )
      yield* Effect.forkScoped(
        Effect.schedule(
          Effect.clockWith((clock) => Effect.sync(() => rollup.sweep(clock.unsafeCurrentTimeMillis()))),
          Schedule.spaced("5 seconds")
        )
      )
      yield* Metric.update(LogMetrics.logLinesSuppressed, 0)
      return Layer.mergeAll(
        Logger.replace(Logger.defaultLogger, logger),
        Logger.minimumLogLevel(LogLevel.All),
        Layer.succeedContext(Context.make(LogThreshold, threshold.service))
      )
    })
  )
