/** Access to single sockets, for features that address one and not a room. */
import { Context, Effect, Layer } from "effect"
import { SocketServer } from "../SocketServer.ts"

/** The operations on one socket. */
export type Saying =
  | { readonly event: "rpc-registered" | "rpc-unregistered"; readonly payload: { readonly method: string } }
  | {
      readonly event: "rpc-error"
      readonly payload: { readonly type: "register" | "unregister"; readonly error: string }
    }

/** A connected socket. */
export interface Line {
  readonly id: string
  readonly say: (saying: Saying) => void
  /**
   * Asks, and calls `onAnswer` with the first value of the ack, at most once.
   * After `withinMillis` of the system's clock an ack is ignored and
   * `onSilence` is called instead.
   */
  readonly ask: (
    request: { readonly method: string; readonly params: unknown },
    withinMillis: number,
    onAnswer: (answer: unknown) => void,
    onSilence: () => void
  ) => void
  /**
   * Calls `listener` once, when the socket is closed. `isFinal`: it was disconnected on purpose and does not come back.
   */
  readonly onClose: (listener: (isFinal: boolean) => void) => void
}

/** Plain functions, as for `Emitter`. */
export class SocketLookup extends Context.Tag("light-server/SocketLookup")<
  SocketLookup,
  {
    /** `undefined`: the socket is closed, whatever it sent before. */
    readonly find: (socketId: string) => Line | undefined
  }
>() {}

export const make: Effect.Effect<SocketLookup["Type"], never, SocketServer> = Effect.map(SocketServer, ({ io }) =>
  SocketLookup.of({
    find: (socketId) => {
      const socket = io.sockets.sockets.get(socketId)
      if (socket?.connected !== true) return undefined
      return {
        id: socketId,
        say: (saying) => {
          if (saying.event === "rpc-error") socket.emit(saying.event, saying.payload)
          else socket.emit(saying.event, saying.payload)
        },
        // With a time limit socket.io also drops an ack that never comes; without one it would be kept as long as the
        // socket.
        ask: (request, withinMillis, onAnswer, onSilence) =>
          void socket
            .timeout(withinMillis)
            .emit("rpc-request", request, (silence: Error | null, answer?: unknown) =>
              silence === null ? onAnswer(answer) : onSilence()
            ),
        onClose: (listener) =>
          void socket.once("disconnect", (reason) => listener(reason.endsWith("namespace disconnect")))
      }
    }
  })
)

export const layer: Layer.Layer<SocketLookup, never, SocketServer> = Layer.effect(SocketLookup, make)
