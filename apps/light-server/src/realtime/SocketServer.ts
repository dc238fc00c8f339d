/** socket.io on the server of Fastify. */
import { Array as Arr, Chunk, Context, Duration, Effect, Layer, Queue, Random, Runtime } from "effect"
import type { IncomingMessage } from "node:http"
import { Server, type ServerOptions } from "socket.io"
import { Draining, SocketOverflow } from "../Failure.ts"
import type { Failure } from "../http/FailureTable.ts"
import { HttpApp } from "../http/HttpApp.ts"
import * as Disconnects from "./arrival/Disconnects.ts"
import * as HandshakeGate from "./arrival/HandshakeGate.ts"
import * as ReadControls from "./arrival/ReadControls.ts"
import * as TransportLimit from "./arrival/TransportLimit.ts"
import { countRefusal, type RefusalReason } from "./RealtimeMetrics.ts"
import type { RealtimeOptions } from "./RealtimeOptions.ts"
import type { Io } from "./Socket.ts"
import { type ReplicaBus, Replicas } from "../replicas/ReplicaBus.ts"
import * as TransportRefusal from "./arrival/TransportRefusal.ts"

export class SocketServer extends Context.Tag("light-server/SocketServer")<
  SocketServer,
  {
    readonly io: Io
    /** True from the first moment of the shutdown on. */
    readonly isDraining: () => boolean
    readonly disconnects: Disconnects.Disconnects
    readonly gate: HandshakeGate.HandshakeGate
    readonly readControls: ReadControls.ReadControls
  } & Pick<HttpApp["Type"], "addressOf" | "failureLimiter">
>() {}

interface Refusal {
  readonly reason: Exclude<RefusalReason, "refused">
  readonly failure: Failure
}

/** Time between two groups of sockets that are closed, on the average. */
const closeTurnMillis = 50

/**
 * Closes the transports a few at a time, in no order: clients wait before they
 * reconnect, counted from the moment of their close.
 */
const closeGradually = (io: Io, spreadMillis: number, reason: Exclude<RefusalReason, "refused"> = "draining") =>
  Effect.gen(function* () {
    const sockets = Chunk.toReadonlyArray(yield* Random.shuffle(io.sockets.sockets.values()))
    const turnCount = Math.max(1, Math.floor(spreadMillis / closeTurnMillis))
    const turns = Arr.chunksOf(sockets, Math.ceil(sockets.length / turnCount))
    for (const [index, turn] of turns.entries()) {
      for (const socket of turn) {
        countRefusal(reason)
        socket.conn.close()
      }
      if (index === turns.length - 1) return
      // At most the time of its turn, so that the sum stays below the spread.
      yield* Effect.sleep(closeTurnMillis * (yield* Random.nextRange(0.5, 1)))
    }
  })

/** Time over which sockets are closed whose clients may have missed updates. They come back and read what changed. */
const recallSpreadMillis = 10_000

/** Broadcasts from other replicas, until the scope closes. */
const joinReplicas = (io: Io, replicas: ReplicaBus) =>
  Effect.gen(function* () {
    const adapter = io.of("/").adapter
    yield* Effect.addFinalizer(() => Effect.sync(() => adapter.close()))
    const recalls = yield* Queue.sliding<void>(1)
    yield* replicas.onLoss(() => void Queue.unsafeOffer(recalls, undefined))
    const recall = Effect.logWarning("Updates of another replica were lost, clients are told to connect again").pipe(
      Effect.annotateLogs("code", "UPDATES_LOST"),
      Effect.zipRight(closeGradually(io, recallSpreadMillis, "outdated"))
    )
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(Queue.take(recalls), recall)))
  })

const transportOf = (options: RealtimeOptions, bytesMax: number): Partial<ServerOptions> => ({
  path: options.path,
  transports: ["polling", "websocket"],
  pingInterval: Duration.toMillis(options.pingInterval),
  pingTimeout: Duration.toMillis(options.pingTimeout),
  connectTimeout: Duration.toMillis(options.connectTimeout),
  maxHttpBufferSize: bytesMax,
  perMessageDeflate: false,
  httpCompression: false,
  serveClient: false,
  ...(options.origins.length > 0
    ? { cors: { origin: options.origins.includes("*") ? "*" : [...options.origins] } }
    : {})
})

export const make = (options: RealtimeOptions) =>
  Effect.gen(function* () {
    const { addressOf, failureLimiter, fastify, isDraining, onDrain } = yield* HttpApp
    const replicas = yield* Replicas
    const gate = HandshakeGate.make(options, Date.now())
    const run = Runtime.runFork(yield* Effect.runtime<never>())
    let isClosed = false
    // Transports before their handshake count too; otherwise they would have no limit.
    const transportLimit = options.socketLimit + options.handshakeLimit + options.handshakeQueueLimit
    /** Before the upgrade: a refusal here costs nothing, and its client waits longer each time. */
    const refusalOf = (request: IncomingMessage): Effect.Effect<Refusal | undefined> =>
      Effect.suspend((): Effect.Effect<Refusal | undefined> => {
        if (isClosed || isDraining()) return Effect.succeed({ reason: "draining", failure: new Draining() } as const)
        return Effect.match(failureLimiter.admitSocket(addressOf(request)), {
          onFailure: (failure) => ({ reason: "address-overload", failure }) as const,
          onSuccess: () =>
            io.engine.clientsCount >= transportLimit || !gate.isOpen(Date.now())
              ? ({ reason: "overload", failure: new SocketOverflow() } as const)
              : undefined
        })
      })
    // The frame of an event contains more than its payload, and only events that were read can be refused with an
    // answer.
    const transportBytesMax = Math.max(options.transportBytesMax, 2 * options.payloadBytesMax)
    const io: Io = new Server(fastify.server, {
      ...transportOf(options, transportBytesMax),
      ...(replicas.adapter === undefined ? {} : { adapter: replicas.adapter }),
      allowRequest: (request, decide) => {
        run(
          Effect.map(refusalOf(request), (refusal) => {
            if (refusal === undefined) return decide(null, true)
            countRefusal(refusal.reason)
            TransportRefusal.send(request, refusal.failure, Math.random())
          })
        )
      }
    })
    yield* TransportLimit.watch(io, transportBytesMax)
    // `io.close` would close the server of Fastify too, and `disconnectSockets` would tell clients to stay away.
    // Closing the transports does neither: clients reconnect, to the next process.
    const close = () => {
      isClosed = true
      io.engine.close()
    }
    yield* onDrain(closeGradually(io, Duration.toMillis(options.closeSpread)))
    // An open websocket is a connection that the close of Fastify would wait for.
    fastify.addHook("preClose", (done) => {
      close()
      done()
    })
    yield* Effect.addFinalizer(() => Effect.sync(close))
    if (!replicas.isAlone) yield* joinReplicas(io, replicas)
    return SocketServer.of({
      io,
      isDraining: () => isClosed || isDraining(),
      disconnects: yield* Disconnects.make(io, replicas),
      gate,
      readControls: ReadControls.make(io),
      addressOf,
      failureLimiter
    })
  })

export const layer = (options: RealtimeOptions): Layer.Layer<SocketServer, never, HttpApp> =>
  Layer.scoped(SocketServer, make(options))
