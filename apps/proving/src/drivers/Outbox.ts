/**
 * How published clients send a message until they are done with it. They cannot be changed, and a message that they
 * give up is lost:
 *
 * - Newer agents and apps wait for the ack and send the message again under its local id after 1, 2 and 3 s. An ack
 *   that is not `ok` is final.
 * - Older agents ask for no ack, have no local ids, and rely on socket.io-client to keep what is sent without a
 *   connection.
 * - Apps that send over HTTP try again until they are answered.
 */
import { Duration, Effect } from "effect"
import { type Device, type Line } from "./Device.ts"
import { ackTimeoutMillis } from "./Talker.ts"

export interface Sent {
  /** Identifies the message. */
  readonly text: string
  /** The position of its first and of its last emission among those of its sender. */
  readonly first: number
  last: number
  fate: "open" | "emitted" | "acked" | "refused" | "given up"
  /** The number in its ack. */
  seq: number | undefined
}

export interface Outbox {
  readonly name: string
  readonly sent: ReadonlyArray<Sent>
  readonly counts: { resent: number }
  /** Sends one message, and ends when the client is done with it. It is emitted before anything is waited for. */
  readonly send: Effect.Effect<void>
}

const make = (name: string, deliver: (message: Sent, emit: () => void) => Effect.Effect<void>): Outbox => {
  const sent: Array<Sent> = []
  const counts = { resent: 0 }
  let emissions = 0
  return {
    name,
    sent,
    counts,
    send: Effect.suspend(() => {
      const text = `${name} ${sent.length + 1}`
      const message: Sent = { text, first: emissions + 1, last: 0, fate: "open", seq: undefined }
      sent.push(message)
      return deliver(message, () => {
        emissions += 1
        if (message.last > 0) counts.resent += 1
        message.last = emissions
      })
    })
  }
}

const repeatCount = 3

/** A newer agent, or an app. */
export const acknowledged = (name: string, { socket }: Line, sid: string): Outbox =>
  make(name, (message, emit) =>
    Effect.gen(function* () {
      const payload = { sid, message: message.text, localId: message.text }
      for (let attempt = 0; attempt <= repeatCount; attempt++) {
        yield* Effect.sleep(Duration.seconds(attempt))
        const ack = yield* Effect.promise(() => {
          emit()
          // Rejected when it takes too long and when the connection ends.
          return socket
            .timeout(ackTimeoutMillis)
            .emitWithAck("message", payload)
            .catch(() => undefined)
        })
        if (ack === undefined) continue
        message.fate = ack.ok === true ? "acked" : "refused"
        message.seq = ack.seq
        return
      }
      message.fate = "given up"
    })
  )

/** An older agent. */
export const unacknowledged = (name: string, { socket }: Line, sid: string): Outbox =>
  make(name, (message, emit) =>
    Effect.sync(() => {
      emit()
      socket.emit("message", { sid, message: message.text })
      message.fate = "emitted"
    })
  )

/** An app that sends over HTTP. */
export const overHttp = (name: string, device: Device, sid: string): Outbox =>
  make(name, (message, emit) =>
    Effect.gen(function* () {
      for (;;) {
        emit()
        const answer = yield* device
          .post(`/v2/sessions/${sid}/messages`, { ciphertext: message.text, localId: message.text })
          .pipe(Effect.timeout("10 seconds"), Effect.option)
        if (answer._tag === "Some" && answer.value.status === 200) {
          message.fate = "acked"
          message.seq = answer.value.body["message"].seq
          return
        }
        if (answer._tag === "Some" && ![429, 503].includes(answer.value.status)) {
          message.fate = "refused"
          return
        }
        yield* Effect.sleep("300 millis")
      }
    })
  )

/** A message as it is stored. */
export interface Stored {
  readonly text: string
  readonly seq: number
}

/** Compares what is stored, in the order of its numbers, with what was sent. Each problem is a sentence. */
export const problemsOf = (outboxes: ReadonlyArray<Outbox>, stored: ReadonlyArray<Stored>): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const seqs = new Map<string, number>()
  stored.forEach(({ seq, text }, index) => {
    if (seq !== index + 1) problems.push(`${text} has the number ${seq} and stands at ${index + 1}`)
    if (seqs.has(text)) problems.push(`${text} is stored twice`)
    seqs.set(text, seq)
  })
  const known = new Set(outboxes.flatMap(({ sent }) => sent.map(({ text }) => text)))
  for (const { text } of stored) if (!known.has(text)) problems.push(`${text} was never sent`)
  for (const { sent } of outboxes) {
    for (const { fate, seq, text } of sent) {
      if (!seqs.has(text)) problems.push(`${text} is missing (${fate})`)
      else if (seq !== undefined && seqs.get(text) !== seq) problems.push(`${text} was promised the number ${seq}`)
    }
    // A message that was sent only after another one was sent for the last time stands behind it.
    let newest: Sent | undefined
    const inOrder = sent.filter(({ text }) => seqs.has(text)).toSorted((a, b) => seqs.get(a.text)! - seqs.get(b.text)!)
    for (const message of inOrder) {
      if (newest !== undefined && newest.first > message.last) {
        problems.push(`${message.text} stands behind ${newest.text}, which was sent after it`)
      }
      if (newest === undefined || message.first > newest.first) newest = message
    }
  }
  return problems
}
