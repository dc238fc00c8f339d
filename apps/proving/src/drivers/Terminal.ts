/**
 * A program in a pseudo-terminal of its own, and keys to press in it. The terminal sends the signal of Ctrl-C to every
 * process in its foreground, as for an interactive user.
 *
 * Node cannot open a pseudo-terminal; Python can with only its standard library.
 */
import { Deferred, Effect, type Scope } from "effect"
import { spawn, spawnSync } from "node:child_process"

/**
 * Passes on what is typed and what is printed, and ends with the code of the program. What is left of the program's
 * process group is killed when its standard input ends, which it also does when the test runner is killed.
 */
const relay = `
import os, pty, select, signal, sys
pid, master = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
def end():
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
sources = [master, 0]
while True:
    ready, _, _ = select.select(sources, [], [])
    if 0 in ready:
        typed = os.read(0, 1024)
        if typed:
            os.write(master, typed)
        else:
            end()
            sources = [master]
    if master in ready:
        try:
            printed = os.read(master, 65536)
        except OSError:
            printed = b""
        if not printed:
            break
        os.write(1, printed)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
end()
sys.exit(code if code >= 0 else 128 - code)
`

/** Why there is no pseudo-terminal on this machine; nothing where there is one. */
export const missing = (): string | undefined => {
  const probe = "import os, pty; os.waitstatus_to_exitcode"
  return spawnSync("python3", ["-c", probe], { stdio: "ignore" }).status === 0
    ? undefined
    : "opening a pseudo-terminal needs python3 (3.9 or newer)"
}

export const ctrlC = "\x03"

export interface Terminal {
  /** All output so far. */
  readonly output: () => string
  /** The first match in the output, once there is one. Dies when the program ends without it. */
  readonly until: (pattern: RegExp) => Effect.Effect<RegExpExecArray>
  readonly press: (keys: string) => Effect.Effect<void>
  /** The exit code of the program; a signal counts as 128 more than its number, as in a shell. */
  readonly ended: Effect.Effect<number | null>
}

/** Runs a program in a new pseudo-terminal. What is left of it is killed when the scope closes. */
export const run = (
  command: ReadonlyArray<string>,
  options: { readonly cwd: string; readonly environment: Readonly<Record<string, string>> }
): Effect.Effect<Terminal, never, Scope.Scope> =>
  Effect.gen(function* () {
    const ended = yield* Deferred.make<number | null>()
    const waiters = new Set<() => void>()
    let output = ""
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const child = spawn("python3", ["-c", relay, ...command], {
          cwd: options.cwd,
          env: { PATH: process.env["PATH"], ...options.environment },
          stdio: ["pipe", "pipe", "inherit"]
        })
        child.stdin.on("error", () => {})
        child.stdout.on("data", (data) => {
          output += String(data)
          for (const look of waiters) look()
        })
        child.once("close", (code) => Deferred.unsafeDone(ended, Effect.succeed(code)))
        return child
      }),
      (child) =>
        Effect.zipRight(
          Effect.sync(() => child.stdin.end()),
          Deferred.await(ended)
        )
    )
    const until: Terminal["until"] = (pattern) =>
      Effect.raceFirst(
        Effect.async<RegExpExecArray>((resume) => {
          const look = () => {
            const found = pattern.exec(output)
            if (found !== null) resume(Effect.succeed(found))
          }
          waiters.add(look)
          look()
          return Effect.sync(() => waiters.delete(look))
        }),
        Effect.flatMap(Deferred.await(ended), (code) =>
          Effect.dieMessage(`ended with ${code} without ${String(pattern)}:\n${output}`)
        )
      )
    return {
      output: () => output,
      until,
      press: (keys) => Effect.sync(() => void child.stdin.write(keys)),
      ended: Deferred.await(ended)
    }
  })
