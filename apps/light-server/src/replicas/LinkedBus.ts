/** The bus over a link: envelopes, questions, and which replicas are there. */
import { decode, encode } from "@msgpack/msgpack"
import { Effect, Schedule, type Scope } from "effect"
import { randomUUID } from "node:crypto"
import * as LiveReplicas from "./LiveReplicas.ts"
import * as LocalFirstAdapter from "./LocalFirstAdapter.ts"
import type { Answer, ReplicaBus } from "./ReplicaBus.ts"
import type { ReplicaLink } from "./ReplicaLink.ts"
import { countLoss, countMessage, setLive, setUp } from "./ReplicaMetrics.ts"
import * as Sequence from "./Sequence.ts"

/** Between two announcements. */
const announceInterval = "250 millis"

/** Between two checks of which replicas are gone. */
const checkInterval = "100 millis"

/** Deeper than any payload of a client. */
const depthMax = 100

type Listener = (body: unknown, from: string) => void

const isEnvelope = (value: unknown): value is readonly [from: string, topic: string, body: unknown] =>
  Array.isArray(value) && value.length === 3 && typeof value[0] === "string" && typeof value[1] === "string"

const decoded = (bytes: Uint8Array): unknown => {
  try {
    return decode(bytes)
  } catch {
    return undefined
  }
}

/** The listeners of each topic. */
const makeListeners = <L>() => {
  const topics = new Map<string, Set<L>>()
  return {
    of: (topic: string): ReadonlyArray<L> => [...(topics.get(topic) ?? [])],
    add: (topic: string, listener: L) =>
      Effect.asVoid(
        Effect.acquireRelease(
          Effect.sync(() => topics.set(topic, (topics.get(topic) ?? new Set()).add(listener))),
          () => Effect.sync(() => topics.get(topic)?.delete(listener))
        )
      )
  }
}

const send = (link: ReplicaLink, topic: string, body: unknown, to: string | undefined): boolean => {
  const isSent = link.send(encode([link.self, topic, body], { maxDepth: depthMax, ignoreUndefined: true }), to)
  countMessage(isSent ? "sent" : "dropped")
  return isSent
}

interface Question {
  readonly missing: Set<string>
  readonly answers: Array<Answer>
  readonly end: () => void
}

/** Questions that wait for their answers. */
const makeQuestions = (link: ReplicaLink, others: () => ReadonlyArray<string>) => {
  const questions = new Map<string, Question>()
  const settle = (question: Question, name: string) => {
    question.missing.delete(name)
    if (question.missing.size === 0) question.end()
  }
  return {
    ask: (topic: string, body: unknown, withinMillis: number): Effect.Effect<ReadonlyArray<Answer>> =>
      Effect.suspend(() => {
        const missing = new Set(others())
        if (missing.size === 0) return Effect.succeed([])
        const id = randomUUID()
        const answers: Array<Answer> = []
        return Effect.async<ReadonlyArray<Answer>>((resume) => {
          const end = () => {
            if (questions.delete(id)) resume(Effect.succeed(answers))
          }
          questions.set(id, { missing, answers, end })
          if (!send(link, "ask", { id, topic, body }, undefined)) end()
          return Effect.sync(() => questions.delete(id))
        }).pipe(Effect.timeoutTo({ duration: withinMillis, onSuccess: (all) => all, onTimeout: () => answers }))
      }),
    answered: (from: string, { body, id }: { readonly id: string; readonly body: unknown }) => {
      const question = questions.get(id)
      if (question === undefined) return
      question.answers.push({ from, body })
      settle(question, from)
    },
    gone: (name: string) => {
      for (const question of questions.values()) settle(question, name)
    }
  }
}

/** The listeners of a bus. Those without a topic have an empty one. */
const makeAudience = () => ({
  messages: makeListeners<Listener>(),
  handlers: makeListeners<(body: unknown, from: string) => unknown>(),
  changes: makeListeners<(name: string, change: "joined" | "gone") => void>(),
  losses: makeListeners<() => void>()
})

interface Parts {
  readonly link: ReplicaLink
  readonly sequence: Sequence.Sequence
  readonly live: LiveReplicas.LiveReplicas
  readonly audience: ReturnType<typeof makeAudience>
  readonly questions: ReturnType<typeof makeQuestions>
  readonly nowMillis: () => number
}

/** What becomes of announcements and messages. */
const makeReception = ({ audience, link, live, nowMillis, questions, sequence }: Parts) => {
  const noteChange = (name: string, change: "joined" | "gone") => {
    setLive(live.names().length + 1)
    if (change === "gone") questions.gone(name)
    for (const listener of audience.changes.of("")) listener(name, change)
  }
  const noteLoss = () => {
    countLoss()
    for (const listener of audience.losses.of("")) listener()
  }
  const announce = () => {
    setUp(link.problem() === undefined)
    return link.send(encode([link.self, "here", sequence.last()]), undefined)
  }
  const onHere = (from: string, last: unknown) => {
    const now = nowMillis()
    if (typeof last === "number" && sequence.announced(from, last, now)) noteLoss()
    if (!live.heard(from, now)) return
    // The other one learns of this replica now, not a quarter of a second later.
    announce()
    noteChange(from, "joined")
  }
  const onAsk = (from: string, asked: { readonly id: string; readonly topic: string; readonly body: unknown }) => {
    for (const handler of audience.handlers.of(asked.topic)) {
      send(link, "answer", { id: asked.id, body: handler(asked.body, from) }, from)
    }
  }
  const receive = (bytes: Uint8Array) => {
    const envelope = decoded(bytes)
    if (!isEnvelope(envelope)) return
    const [from, topic, body] = envelope
    if (from === link.self) return
    if (topic === "here") return onHere(from, body)
    countMessage("received")
    if (topic === "bye") {
      if (live.leave(from)) noteChange(from, "gone")
    } else if (topic === "ask") onAsk(from, body as Parameters<typeof onAsk>[1])
    else if (topic === "answer") questions.answered(from, body as Parameters<typeof questions.answered>[1])
    else for (const listener of audience.messages.of(topic)) listener(body, from)
  }
  const check = () => {
    for (const name of live.expire(nowMillis())) noteChange(name, "gone")
  }
  return { announce, check, noteLoss, receive }
}

/**
 * Announces this replica until its scope closes.
 *
 * **Details**
 *
 * - A replica that announces nothing for 700 ms is gone; one that ends says so.
 * - Time in which this process itself stood still does not count.
 */
export const make = (link: ReplicaLink): Effect.Effect<ReplicaBus, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Effect.clock
    const sequence = Sequence.make()
    const live = LiveReplicas.make()
    const audience = makeAudience()
    const questions = makeQuestions(link, live.names)
    const nowMillis = () => clock.unsafeCurrentTimeMillis()
    const reception = makeReception({ link, sequence, live, audience, questions, nowMillis })
    link.receive(reception.receive)
    yield* Effect.forkScoped(Effect.repeat(Effect.sync(reception.announce), Schedule.spaced(announceInterval)))
    yield* Effect.forkScoped(Effect.schedule(Effect.sync(reception.check), Schedule.spaced(checkInterval)))
    yield* Effect.addFinalizer(() => Effect.sync(() => link.send(encode([link.self, "bye", null]), undefined)))

    return {
      self: link.self,
      isAlone: false,
      others: live.names,
      send: (topic, body, to) => send(link, topic, body, to),
      listen: audience.messages.add,
      ask: questions.ask,
      answer: audience.handlers.add,
      onChange: (listener) => audience.changes.add("", listener),
      onLoss: (listener) => audience.losses.add("", listener),
      adapter: LocalFirstAdapter.make(link.adapter, { self: link.self, sequence, onGap: reception.noteLoss }),
      problem: link.problem
    }
  })
