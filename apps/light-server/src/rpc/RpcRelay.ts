/**
 * Passes calls from one socket of an account to another one, and the results
 * back. Nothing is stored: after a restart the registrants register again.
 */
import { Context, Duration, Effect, Layer } from "effect"
import type { Connection } from "../realtime/Connection.ts"
import { type Line, SocketLookup } from "../realtime/sending/SocketLookup.ts"
import * as MethodDirectory from "./MethodDirectory.ts"
import * as PayloadSize from "./PayloadSize.ts"
import * as RpcAnswer from "./RpcAnswer.ts"
import { countCall, setInFlight, setLimits, setMethods } from "./RpcMetrics.ts"
import type { RpcOptions } from "./RpcOptions.ts"

type End = (outcome: "answered" | RpcAnswer.RpcRefusal, answer: RpcAnswer.RpcAnswer) => void

/** A socket that calls, or is called, or both. Known from its first word until it disconnects. */
interface Peer {
  readonly line: Line
  readonly accountId: string
  /** What it waits for. */
  readonly calls: Set<End>
  /** What it owes. Stays until it answers or its time is over, even when the caller has left: it is still busy. */
  readonly requests: Set<End>
}

export interface Call {
  readonly method: string
  readonly params: unknown
}

export class RpcRelay extends Context.Tag("light-server/RpcRelay")<
  RpcRelay,
  {
    /** Makes a socket the one that answers the method, for its account. `gone`: it is not connected any more. */
    readonly register: (connection: Connection, method: string) => MethodDirectory.Registered | "gone"
    /** Has no effect when somebody else has the method by now. */
    readonly unregister: (connection: Connection, method: string) => void
    /**
     * Asks the socket that has the method.
     *
     * **Details**
     *
     * - Waits at most `callTimeout`, measured with `Clock`.
     * - Ends at once when the caller or the registrant disconnects. A registrant that is
     *   replaced stays connected, and its answer still counts.
     * - Nothing queues: beyond a limit the call is refused.
     */
    readonly call: (connection: Connection, call: Call) => Effect.Effect<RpcAnswer.RpcAnswer>
  }
>() {}

const makePeers = (
  socketLookup: SocketLookup["Type"],
  directory: MethodDirectory.MethodDirectory<Peer>,
  onChange: () => void
) => {
  const peers = new Map<string, Peer>()
  return ({ id, accountId }: Pick<Connection, "id" | "accountId">): Peer | undefined => {
    const known = peers.get(id)
    if (known !== undefined) return known
    const line = socketLookup.find(id)
    if (line === undefined) return undefined
    const peer: Peer = { line, accountId, calls: new Set(), requests: new Set() }
    peers.set(id, peer)
    line.onClose(() => {
      peers.delete(id)
      directory.unregisterAll(accountId, peer)
      onChange()
      for (const end of peer.calls) end("caller-gone", RpcAnswer.refusals["caller-gone"])
      for (const end of peer.requests) end("registrant-gone", RpcAnswer.refusals["registrant-gone"])
    })
    return peer
  }
}

export const make = (options: RpcOptions): Effect.Effect<RpcRelay["Type"], never, SocketLookup> =>
  Effect.map(SocketLookup, (socketLookup) => {
    const timeoutMillis = Duration.toMillis(options.callTimeout)
    const directory = MethodDirectory.make<Peer>(options.methodLimit)
    const noteMethods = () => setMethods(directory.count())
    const peerOf = makePeers(socketLookup, directory, noteMethods)
    let inFlight = 0
    setLimits(options)
    setInFlight(inFlight)
    noteMethods()

    const refuse = (refusal: RpcAnswer.RpcRefusal) => {
      countCall(refusal)
      return Effect.succeed(RpcAnswer.refusals[refusal])
    }

    const obstacle = (caller: Peer, registrant: Peer, params: unknown): RpcAnswer.RpcRefusal | undefined => {
      if (registrant === caller) return "same-socket"
      if (!PayloadSize.isWithin(params, options.payloadBytesMax)) return "params-too-large"
      if (caller.calls.size >= options.callLimit) return "caller-limit"
      return registrant.requests.size >= options.requestLimit ? "registrant-limit" : undefined
    }

    /** From here on two sockets have a place less, and each way out gives the places back. */
    const exchange = (caller: Peer, registrant: Peer, { method, params }: Call) =>
      Effect.async<RpcAnswer.RpcAnswer>((resume) => {
        const began = performance.now()
        const end: End = (outcome, answer) => {
          if (!caller.calls.delete(end)) return
          setInFlight((inFlight -= 1))
          countCall(outcome, (performance.now() - began) / 1000)
          resume(Effect.succeed(answer))
        }
        const refuseLate = (refusal: RpcAnswer.RpcRefusal) => {
          registrant.requests.delete(end)
          end(refusal, RpcAnswer.refusals[refusal])
        }
        const settle = (result: unknown) => {
          if (!PayloadSize.isWithin(result, options.payloadBytesMax)) return refuseLate("result-too-large")
          registrant.requests.delete(end)
          end("answered", RpcAnswer.result(result))
        }
        // First, so that a defect of the encoder takes no place for ever. The answer is never there at once.
        registrant.line.ask({ method, params }, timeoutMillis, settle, () => refuseLate("timeout"))
        caller.calls.add(end)
        registrant.requests.add(end)
        setInFlight((inFlight += 1))
        // The time is over, or the server stops.
        return Effect.sync(() => refuseLate("timeout"))
      }).pipe(
        Effect.timeoutTo({
          duration: timeoutMillis,
          onSuccess: (answer) => answer,
          onTimeout: () => RpcAnswer.refusals.timeout
        })
      )

    return RpcRelay.of({
      register: (connection, method) => {
        const peer = peerOf(connection)
        if (peer === undefined) return "gone"
        const registered = directory.register(connection.accountId, method, peer)
        noteMethods()
        return registered
      },
      unregister: (connection, method) => {
        const peer = peerOf(connection)
        if (peer === undefined) return
        directory.unregister(connection.accountId, method, peer)
        noteMethods()
      },
      call: (connection, call) =>
        Effect.suspend(() => {
          const caller = peerOf(connection)
          if (caller === undefined) return refuse("caller-gone")
          const registrant = directory.find(connection.accountId, call.method)
          if (registrant === undefined) return refuse("unavailable")
          const refusal = obstacle(caller, registrant, call.params)
          return refusal === undefined ? exchange(caller, registrant, call) : refuse(refusal)
        })
    })
  })

export const layer = (options: RpcOptions): Layer.Layer<RpcRelay, never, SocketLookup> =>
  Layer.effect(RpcRelay, make(options))
