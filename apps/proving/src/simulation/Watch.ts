/** Wraps the writer on both sides: reports to the auditor which calls are made, hold the permit, and are answered. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import type { Lane } from "presence-effect/writer/Lane"
import { EngineFault, type Fault, SqliteConnection } from "presence-effect/writer/SqliteConnection"
import { SqliteWriter } from "presence-effect/writer/SqliteWriter"
import type { SimulatedConnection } from "presence-effect/testing/SimulatedConnection"
import type { Statement } from "presence-effect/writer/Write"
import { type Asker, type Call, operationOf, show } from "./Call.ts"
import * as Coverage from "./Coverage.ts"
import type { Saboteur } from "./Saboteur.ts"
import type { Stage } from "./Stage.ts"

/** The caller on whose behalf the fiber runs. */
export const asker: FiberRef.FiberRef<Asker | undefined> = FiberRef.unsafeMake<Asker | undefined>(undefined)

const codeOf = ({ code, phase, reason }: Fault): string => (reason === "Lost" ? `LOST ${phase}` : code)

/** A thread goes on when its caller leaves. */
const inThread = <A, E>(body: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.flatMap(Effect.forkDaemon(body), Fiber.join)

const outcomeOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "done"
  if (Exit.isInterrupted(exit)) return "left"
  const failure = exit.cause._tag === "Fail" ? exit.cause.error : undefined
  return typeof failure === "object" && failure !== null && "message" in failure ? String(failure.message) : "died"
}

export class Watch {
  private readonly stage: Stage
  private readonly saboteur: Saboteur
  private readonly byStatements = new WeakMap<ReadonlyArray<Statement>, Call>()
  private readonly checkpoints: Array<Call> = []
  private readonly open = new Set<Call>()
  private count = 0

  constructor(stage: Stage, saboteur: Saboteur) {
    this.stage = stage
    this.saboteur = saboteur
  }

  /** The caller disconnects: the calls that it waits for must be cancelled. */
  hangUp(who: Asker): void {
    for (const call of this.open) {
      if (call.asker !== who) continue
      Coverage.note(this.stage.coverage, "interruption", call.operation)
      this.stage.trace.note(`${show(call)}: the caller hangs up`)
      this.stage.calls.hungUp(call)
    }
  }

  private call(lane: Lane, what: Pick<Call, "operation" | "mark">, who: Asker | undefined): Call {
    const call: Call = {
      ...what,
      number: ++this.count,
      lane,
      asker: who,
      calledAtMillis: this.stage.time.elapsedMillis(),
      pausedBeforeMillis: this.stage.totalPausedMillis(),
      isOpen: true,
      holdCount: 0,
      holdsSinceMillis: undefined,
      lastHold: undefined,
      codes: new Set(),
      passedOver: 0,
      hungUpAtMillis: undefined
    }
    this.stage.trace.note(`${show(call)} asks`)
    this.open.add(call)
    this.stage.audit(() => this.stage.calls.called(call))
    return call
  }

  /** Calls `body` with the call it is, and sees how it ends. */
  private watch<A, E, R>(
    lane: Lane,
    what: Pick<Call, "operation" | "mark">,
    body: (call: Call) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(FiberRef.get(asker), (who) => {
        const call = this.call(lane, what, who)
        return Effect.onExit(restore(body(call)), (exit) =>
          Effect.sync(() => {
            this.open.delete(call)
            this.stage.trace.note(`${show(call)}: ${outcomeOf(exit)}`)
            this.stage.audit(() => this.stage.calls.answered(call, exit))
          })
        )
      })
    )
  }

  /** `body` holds the permit for the calls. */
  private hold<A, E, R>(calls: ReadonlyArray<Call>, body: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.uninterruptibleMask((restore) => {
      this.stage.audit(() => this.stage.calls.held(calls))
      return Effect.onExit(restore(body), (exit) =>
        Effect.sync(() => {
          const fault = Exit.isFailure(exit) && exit.cause._tag === "Fail" ? exit.cause.error : undefined
          const code = fault instanceof EngineFault ? codeOf(fault) : undefined
          if (fault instanceof EngineFault && fault.reason === "Busy") {
            for (const { operation } of calls) Coverage.note(this.stage.coverage, "busy", operation)
          }
          this.stage.trace.note(`  held: ${calls.map(({ mark, operation }) => mark ?? operation)}: ${code ?? "done"}`)
          this.stage.audit(() => this.stage.calls.released(calls, code))
        })
      )
    })
  }

  /** The engine with its faults, as the writer sees it. */
  connection(simulated: SimulatedConnection): SqliteConnection["Type"] {
    const { connection } = simulated
    return SqliteConnection.of({
      ...connection,
      run: (group, durability) =>
        Effect.suspend(() => {
          const calls = group.flatMap((statements) => this.byStatements.get(statements) ?? [])
          this.saboteur.meet(calls, simulated)
          const answered = Effect.tap(connection.run(group, durability), (answers) =>
            answers.forEach((answer, index) => {
              if (answer._tag === "Failed") calls[index]?.codes.add(codeOf(answer.fault))
            })
          )
          const calm = Effect.sync(() => simulated.setLatency(this.stage.setting.latency))
          return inThread(this.hold(calls, Effect.ensuring(answered, calm)))
        }),
      checkpoint: (mode) =>
        Effect.suspend(() => {
          const waiting = this.checkpoints.filter(({ holdCount }) => holdCount === 0)
          const calls = [waiting.find(({ isOpen }) => isOpen) ?? waiting.at(-1)].filter((call) => call !== undefined)
          const { delayMillis, fault } = this.saboteur.meet(calls)
          const body = Effect.zipRight(
            Effect.sleep(this.stage.setting.latency + delayMillis),
            fault === undefined ? connection.checkpoint(mode) : Effect.fail(fault)
          )
          return inThread(this.hold(calls, body))
        })
    })
  }

  readonly layer: Layer.Layer<SqliteWriter, never, SqliteWriter> = Layer.effect(
    SqliteWriter,
    Effect.map(SqliteWriter, (writer) => {
      const observed = <A, E>(lane: Lane, statements: ReadonlyArray<Statement>, self: Effect.Effect<A, E>) =>
        this.watch(lane, operationOf(lane, statements), (call) => {
          this.byStatements.set(statements, call)
          return self
        })
      return SqliteWriter.of({
        ...writer,
        write: (lane, write) => observed(lane, write.statements, writer.write(lane, write)),
        writeMeasured: (lane, write) => observed(lane, write.statements, writer.writeMeasured(lane, write)),
        withPermit: (lane) => (self) =>
          this.watch(lane, { operation: "opaque", mark: undefined }, (call) =>
            writer.withPermit(lane)(
              Effect.suspend(() => {
                this.saboteur.meet([call])
                return this.hold([call], self)
              })
            )
          ),
        checkpoint: (lane, mode) =>
          this.watch(lane, { operation: "checkpoint", mark: undefined }, (call) => {
            this.checkpoints.push(call)
            return writer.checkpoint(lane, mode)
          })
      })
    })
  )
}
