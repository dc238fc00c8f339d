/** Commands in bash, as a person types them: each in a process group of its own, which ends with its scope. */
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"

export interface Place {
  readonly cwd: string
  /** The whole environment. */
  readonly environment: { readonly [variable: string]: string | undefined }
  /** Another user, whom only root can be. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined
}

export interface Outcome {
  readonly code: number | null
  readonly output: string
}

export interface Running {
  readonly pid: number
  /** Standard output and standard error until now. */
  readonly output: () => string
  readonly ended: Effect.Effect<number | null>
  /** Waits until it has printed what matches. Dies when it ends before. */
  readonly until: (pattern: RegExp) => Effect.Effect<RegExpExecArray>
  /** Sends a signal to the whole group, and waits for the end. */
  readonly end: (signal: NodeJS.Signals) => Effect.Effect<number | null>
}

const signalGroup = (child: ChildProcess, signal: NodeJS.Signals): void => {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal)
  } catch {
    // The group is gone already.
  }
}

const spawned = (text: string, { cwd, environment, user }: Place) => {
  const child = spawn("bash", ["-euo", "pipefail", "-c", text], {
    cwd,
    detached: true,
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
    ...user
  })
  let output = ""
  const listeners = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data) => {
      output += String(data)
      for (const listen of listeners) listen()
    })
  }
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve))
  return { child, ended, listeners, output: () => output }
}

/** Starts a text. What is left of it is killed when the scope closes. */
export const start = (text: string, place: Place): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => spawned(text, place)),
    ({ child, ended }) =>
      Effect.promise(() => {
        signalGroup(child, "SIGKILL")
        return ended
      })
  ).pipe(
    Effect.map(({ child, ended, listeners, output }) => ({
      pid: child.pid ?? 0,
      output,
      ended: Effect.promise(() => ended),
      until: (pattern) =>
        Effect.async<RegExpExecArray>((resume) => {
          const look = () => {
            const found = pattern.exec(output())
            if (found !== null) resume(Effect.succeed(found))
          }
          listeners.add(look)
          look()
          const early = (code: number | null) =>
            resume(Effect.dieMessage(`ended with ${code} before ${String(pattern)}:\n${output()}`))
          void ended.then(early)
          return Effect.sync(() => listeners.delete(look))
        }),
      end: (signal) =>
        Effect.promise(() => {
          signalGroup(child, signal)
          return ended
        })
    }))
  )

/** Runs a text to its end. */
export const run = (text: string, place: Place): Effect.Effect<Outcome> =>
  Effect.scoped(
    Effect.gen(function* () {
      const running = yield* start(text, place)
      const code = yield* running.ended
      return { code, output: running.output() }
    })
  )
