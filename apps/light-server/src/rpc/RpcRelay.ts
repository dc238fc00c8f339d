/**
 * Passes calls from one socket of an account to another one, and the results
 * back. Nothing is stored: after a restart the registrants register again.
 */
import { Context, Duration, Effect, Layer, type Scope } from "effect"
import type { Connection } from "../realtime/Connection.ts"
import { type Line, SocketLookup } from "../realtime/sending/SocketLookup.ts"
import { Replicas } from "../replicas/ReplicaBus.ts"
import * as AwayRows from "./AwayRows.ts"
import * as MethodDirectory from "./MethodDirectory.ts"
import * as PayloadSize from "../realtime/PayloadSize.ts"
import * as RemoteMethods from "./RemoteMethods.ts"
import * as RpcAnswer from "./RpcAnswer.ts"
import { countAwaited, countCall, setInFlight, setLimits, setMethods } from "./RpcMetrics.ts"
import type { RpcOptions } from "./RpcOptions.ts"

type End = (outcome: "answered" | RpcAnswer.RpcRefusal, answer: RpcAnswer.RpcAnswer) => void

/** A socket that calls, or is called, or both. Tracked from its first event until it disconnects. */
interface Peer {
  readonly line: Line
  readonly accountId: string
  /** Its machine or session, for which it may register methods. `undefined` for an app. */
  readonly rowId: string | undefined
  /** Its own open calls. */
  readonly calls: Set<End>
  /**
   * Requests it must answer. Each stays until its answer or its time limit, even when the caller has left: the
   * registrant is still busy.
   */
  readonly requests: Set<End>
}

export interface Call {
  readonly method: string
  readonly params: unknown
}

export class RpcRelay extends Context.Tag("light-server/RpcRelay")<
  RpcRelay,
  {
    /**
     * Makes a socket the one that answers the method, for its account. `foreign`:
     * the method belongs to another machine or session than the socket. `gone`: the
     * socket is not connected any more.
     */
    readonly register: (connection: Connection, method: string) => MethodDirectory.Registered | "foreign" | "gone"
    /** The registrant before it answers again. */
    readonly unregister: (connection: Connection, method: string) => void
    /**
     * Asks the newest connected socket that has the method, on any replica.
     *
     * **Details**
     *
     * - Waits at most `callTimeout`, measured with `Clock`.
     * - While the machine or session has lost its connection, waits at most `awayGrace` for the
     *   method to be registered again.
     * - Ends at once when the caller or the registrant disconnects, and within a second when the replica of the
     *   registrant is gone. A registrant that is replaced stays connected, and its answer still counts.
     * - Nothing queues: beyond a limit the call is refused.
     */
    readonly call: (connection: Connection, call: Call) => Effect.Effect<RpcAnswer.RpcAnswer>
  }
>() {}

const rowIdOf = ({ scope }: Connection): string | undefined => {
  switch (scope._tag) {
    case "User":
      return undefined
    case "Session":
      return scope.sessionId
    case "Machine":
      return scope.machineId
  }
}

const makePeers = (
  socketLookup: SocketLookup["Type"],
  onLeave: (peer: Peer, left: { readonly isFinal: boolean; readonly isLast: boolean }) => void
) => {
  const peers = new Map<string, Peer>()
  /** The peers of each machine and session. */
  const rows = new Map<string, Set<Peer>>()
  return (connection: Connection): Peer | undefined => {
    const { accountId, id } = connection
    const known = peers.get(id)
    if (known !== undefined) return known
    const line = socketLookup.find(id)
    if (line === undefined) return undefined
    const peer: Peer = { line, accountId, rowId: rowIdOf(connection), calls: new Set(), requests: new Set() }
    const row = `${accountId}:${peer.rowId ?? ""}`
    const sameRow = rows.get(row) ?? new Set()
    rows.set(row, sameRow.add(peer))
    peers.set(id, peer)
    line.onClose((isFinal) => {
      peers.delete(id)
      sameRow.delete(peer)
      if (sameRow.size === 0) rows.delete(row)
      onLeave(peer, { isFinal, isLast: sameRow.size === 0 })
      for (const end of peer.calls) end("caller-gone", RpcAnswer.refusals["caller-gone"])
      for (const end of peer.requests) end("registrant-gone", RpcAnswer.refusals["registrant-gone"])
    })
    return peer
  }
}

const refuse = (refusal: RpcAnswer.RpcRefusal) =>
  Effect.sync(() => {
    countCall(refusal)
    return RpcAnswer.refusals[refusal]
  })

/** Passes requests and answers on. An open call counts for both sockets. */
const makeExchange = (options: RpcOptions) => {
  const timeoutMillis = Duration.toMillis(options.callTimeout)
  let inFlight = 0
  setInFlight(inFlight)
  return (caller: Pick<Peer, "calls">, registrant: Peer, { method, params }: Call) =>
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
      // First, so that a defect of the encoder leaks no slot. The answer never arrives synchronously.
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
}

/** Waits until the method is registered again. Meanwhile it counts as a call of its caller. */
const awaitRegistrant = (
  away: AwayRows.AwayRows,
  caller: Peer,
  method: string,
  millis: number
): Effect.Effect<"registered" | "unavailable" | "caller-gone"> =>
  Effect.async<"registered" | "caller-gone">((resume) => {
    const leave = () => {
      caller.calls.delete(end)
      stop()
    }
    const end: End = () => {
      leave()
      resume(Effect.succeed("caller-gone"))
    }
    const stop = away.wait(caller.accountId, method, () => {
      leave()
      resume(Effect.succeed("registered"))
    })
    caller.calls.add(end)
    return Effect.sync(leave)
  }).pipe(
    Effect.timeoutTo({ duration: millis, onSuccess: (outcome) => outcome, onTimeout: () => "unavailable" as const })
  )

/** Why a call cannot begin, independent of a registrant of its method. */
const obstacleOf = (options: RpcOptions, caller: Peer, params: unknown): RpcAnswer.RpcRefusal | undefined => {
  if (!PayloadSize.isWithin(params, options.payloadBytesMax)) return "params-too-large"
  return caller.calls.size >= options.callLimit ? "caller-limit" : undefined
}

/** Passes a call on to another replica. Nothing: the method is not registered there any more. */
const callElsewhere = (
  remote: RemoteMethods.RemoteMethods,
  caller: Peer,
  replica: string,
  call: Call,
  timeoutMillis: number
): Effect.Effect<RpcAnswer.RpcAnswer | undefined> =>
  Effect.async<RpcAnswer.RpcAnswer | undefined>((resume) => {
    const refuseHere = (refusal: RpcAnswer.RpcRefusal) => {
      countCall(refusal)
      resume(Effect.succeed(RpcAnswer.refusals[refusal]))
    }
    const end: End = () => {
      leave()
      refuseHere("caller-gone")
    }
    const leave = () => {
      caller.calls.delete(end)
      cancel()
    }
    const cancel = remote.call(replica, { accountId: caller.accountId, ...call }, (ended) => {
      caller.calls.delete(end)
      if (ended === "gone") refuseHere("registrant-gone")
      else resume(Effect.succeed(ended === "unavailable" ? undefined : ended))
    })
    caller.calls.add(end)
    return Effect.sync(leave)
  }).pipe(
    Effect.timeoutTo({
      duration: timeoutMillis,
      onSuccess: (answer) => answer,
      onTimeout: () => RpcAnswer.refusals.timeout
    })
  )

/** What passes calls on, and what it needs. */
interface Ways {
  readonly options: RpcOptions
  readonly directory: MethodDirectory.MethodDirectory<Peer>
  readonly away: AwayRows.AwayRows
  readonly exchange: ReturnType<typeof makeExchange>
  readonly remote: RemoteMethods.RemoteMethods
  readonly nowMillis: () => number
}

const makeAttempt = ({ away, directory, exchange, nowMillis, options, remote }: Ways) => {
  const timeoutMillis = Duration.toMillis(options.callTimeout)

  const wait = (caller: Peer, call: Call, millis: number): Effect.Effect<RpcAnswer.RpcAnswer> =>
    Effect.suspend(() => {
      countAwaited()
      return Effect.flatMap(awaitRegistrant(away, caller, call.method, millis), (outcome) =>
        outcome === "registered" ? attempt(caller, call) : refuse(outcome)
      )
    })

  /** Nobody here has the method. */
  const search = (caller: Peer, call: Call): Effect.Effect<RpcAnswer.RpcAnswer> => {
    const { accountId } = caller
    const obstacle = obstacleOf(options, caller, call.params)
    const awayHere = away.remainingMillis(accountId, call.method, nowMillis())
    return Effect.flatMap(remote.find(accountId, call.method), ({ awayMillis, replica }) => {
      const millis = Math.max(awayHere, awayMillis)
      if (replica === undefined && millis === 0) return refuse("unavailable")
      if (obstacle !== undefined) return refuse(obstacle)
      if (replica === undefined) return wait(caller, call, millis)
      return Effect.flatMap(callElsewhere(remote, caller, replica, call, timeoutMillis), (answer) =>
        answer === undefined ? refuse("unavailable") : Effect.succeed(answer)
      )
    })
  }

  const attempt = (caller: Peer, call: Call): Effect.Effect<RpcAnswer.RpcAnswer> =>
    Effect.suspend(() => {
      const { accountId } = caller
      const replica = remote.claimant(accountId, call.method)
      const obstacle = obstacleOf(options, caller, call.params)
      if (replica !== undefined) {
        if (obstacle !== undefined) return refuse(obstacle)
        return Effect.flatMap(callElsewhere(remote, caller, replica, call, timeoutMillis), (answer) => {
          if (answer !== undefined) return Effect.succeed(answer)
          remote.disclaim(accountId, call.method)
          return attempt(caller, call)
        })
      }
      const registrant = directory.find(accountId, call.method)
      if (registrant === caller) return refuse("same-socket")
      if (registrant === undefined) return search(caller, call)
      if (obstacle !== undefined) return refuse(obstacle)
      return registrant.requests.size >= options.requestLimit
        ? refuse("registrant-limit")
        : exchange(caller, registrant, call)
    })

  return attempt
}

export const make = (options: RpcOptions): Effect.Effect<RpcRelay["Type"], never, SocketLookup | Scope.Scope> =>
  Effect.gen(function* () {
    const socketLookup = yield* SocketLookup
    const clock = yield* Effect.clock
    const nowMillis = () => clock.unsafeCurrentTimeMillis()
    const directory = MethodDirectory.make<Peer>(options.methodLimit)
    const away = AwayRows.make(Duration.toMillis(options.awayGrace))
    const exchange = makeExchange(options)
    const noteMethods = () => setMethods(directory.count())
    const peerOf = makePeers(socketLookup, (peer, { isFinal, isLast }) => {
      directory.unregisterAll(peer.accountId, peer)
      noteMethods()
      if (peer.rowId !== undefined && isLast && !isFinal) away.leave(peer.accountId, peer.rowId, nowMillis())
    })
    setLimits(options)
    noteMethods()
    const remote = yield* RemoteMethods.make(yield* Replicas, {
      has: (accountId, method) => directory.find(accountId, method) !== undefined,
      awayMillis: (accountId, method) => away.remainingMillis(accountId, method, nowMillis()),
      registered: away.wake,
      answer: ({ accountId, method, params }) => {
        const registrant = directory.find(accountId, method)
        if (registrant === undefined) return undefined
        return registrant.requests.size >= options.requestLimit
          ? refuse("registrant-limit")
          : exchange({ calls: new Set() }, registrant, { method, params })
      }
    })
    const attempt = makeAttempt({ options, directory, away, exchange, remote, nowMillis })

    return RpcRelay.of({
      register: (connection, method) => {
        const peer = peerOf(connection)
        if (peer === undefined) return "gone"
        if (peer.rowId === undefined || !method.startsWith(`${peer.rowId}:`)) return "foreign"
        const registered = directory.register(connection.accountId, method, peer)
        noteMethods()
        if (registered !== "limited") remote.claim(connection.accountId, method)
        away.wake(connection.accountId, method)
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
          return caller === undefined ? refuse("caller-gone") : attempt(caller, call)
        })
    })
  })

export const layer = (options: RpcOptions): Layer.Layer<RpcRelay, never, SocketLookup> =>
  Layer.scoped(RpcRelay, make(options))
