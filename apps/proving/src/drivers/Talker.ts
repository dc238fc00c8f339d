/**
 * A client that uses sessions over one socket, an agent or an app: it sends
 * messages and replaces states, repeats what was not answered, and records what
 * it sent and the answers.
 */
import { Duration, Effect } from "effect"
import type { Line } from "./Device.ts"

/** How long real clients wait for an answer. */
export const ackTimeoutMillis = 7500

/** The pause after a refusal. */
const refusedMillis = 250

export interface Sent {
  readonly sid: string
  readonly localId: string
  /** The position of its first and of its last emission among those of its talker. */
  readonly first: number
  last: number
  answer: { readonly id: string; readonly seq: number } | undefined
}

/** A state to be stored after a version. Without an answer it is unknown whether it was. */
export interface Attempt {
  readonly sid: string
  readonly value: string
  readonly expectedVersion: number
  outcome: "unknown" | "replaced" | "mismatch"
}

export interface Talker {
  readonly line: Line
  readonly sent: ReadonlyArray<Sent>
  readonly attempts: ReadonlyArray<Attempt>
  /** Answers that a client would not understand. */
  readonly problems: ReadonlyArray<string>
  readonly counts: { resent: number; refused: number; timeouts: number }
  /** Sends messages one right after the other, again and again, until each of them is stored. */
  readonly say: (sid: string, count: number) => Effect.Effect<void>
  /** Replaces the state on the last known version. */
  readonly replace: (sid: string) => Effect.Effect<void>
}

export const make = (name: string, line: Line): Talker => {
  const { socket } = line
  const sent: Array<Sent> = []
  const attempts: Array<Attempt> = []
  const problems: Array<string> = []
  const counts = { resent: 0, refused: 0, timeouts: 0 }
  const versions = new Map<string, number>()
  let emissions = 0

  const connected = Effect.async<void>((resume) => {
    const done = () => resume(Effect.void)
    if (socket.connected) return done()
    socket.once("connect", done)
    return Effect.sync(() => socket.off("connect", done))
  })

  /** Emits at once, and waits for the answer or for the end of the connection. A later answer is recorded, too. */
  const emitted = (emit: (answered: () => void) => void) =>
    Effect.suspend(() => {
      let gone: (() => void) | undefined
      return Effect.async<void>((resume) => {
        gone = () => resume(Effect.void)
        socket.once("disconnect", gone)
        emit(gone)
      }).pipe(
        Effect.ensuring(Effect.sync(() => socket.off("disconnect", gone))),
        Effect.timeoutTo({
          duration: Duration.millis(ackTimeoutMillis),
          onSuccess: () => undefined,
          onTimeout: () => void (counts.timeouts += 1)
        })
      )
    })

  const hear = (message: Sent, ack: any) => {
    if (ack?.ok !== true) {
      counts.refused += 1
      if (ack?.error !== "internal") problems.push(`${message.localId} was answered with ${JSON.stringify(ack)}`)
      return
    }
    const { id, seq, localId } = ack
    const before = message.answer
    if (localId !== message.localId || (before !== undefined && (before.id !== id || before.seq !== seq))) {
      problems.push(`${message.localId} was answered with ${JSON.stringify(before)}, then ${JSON.stringify(ack)}`)
    }
    message.answer = { id, seq }
  }

  const emitAll = (messages: ReadonlyArray<Sent>) =>
    emitted((answered) => {
      let left = messages.length
      for (const message of messages) {
        emissions += 1
        message.last = emissions
        const { sid, localId } = message
        socket.emit("message", { sid, message: `text of ${localId}`, localId }, (ack: unknown) => {
          hear(message, ack)
          left -= 1
          if (left === 0) answered()
        })
      }
    })

  const unanswered = (messages: ReadonlyArray<Sent>) => messages.filter(({ answer }) => answer === undefined)

  return {
    line,
    sent,
    attempts,
    problems,
    counts,
    say: (sid, count) =>
      Effect.gen(function* () {
        yield* connected
        const messages = Array.from({ length: count }, (_, index): Sent => {
          const localId = `${name} ${sent.length + 1}`
          const emission = emissions + index + 1
          const message = { sid, localId, first: emission, last: emission, answer: undefined }
          sent.push(message)
          return message
        })
        yield* emitAll(messages)
        for (;;) {
          const missing = unanswered(messages)
          if (missing.length === 0) return
          if (socket.connected) yield* Effect.sleep(refusedMillis)
          yield* connected
          counts.resent += missing.length
          yield* emitAll(missing)
        }
      }),
    replace: (sid) =>
      Effect.gen(function* () {
        yield* connected
        const value = `state ${attempts.length + 1} of ${name}`
        const attempt: Attempt = { sid, value, expectedVersion: versions.get(sid) ?? 0, outcome: "unknown" }
        attempts.push(attempt)
        yield* emitted((answered) => {
          const payload = { sid, agentState: value, expectedVersion: attempt.expectedVersion }
          socket.emit("update-state", payload, (ack: any) => {
            const isReplaced = ack?.result === "success"
            if (isReplaced || ack?.result === "version-mismatch") {
              attempt.outcome = isReplaced ? "replaced" : "mismatch"
              versions.set(sid, ack.version)
              if (isReplaced && (ack.version !== attempt.expectedVersion + 1 || ack.agentState !== value)) {
                problems.push(`${value} was answered with ${JSON.stringify(ack)}`)
              }
            } else {
              counts.refused += 1
              if (ack?.result !== "error") problems.push(`${value} was answered with ${JSON.stringify(ack)}`)
            }
            answered()
          })
        })
      })
  }
}
