/** A model of the server's handlers, and of the daemons, agents and apps that call them. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Lane from "presence-effect/writer/Lane"
import * as PresenceKey from "./PresenceKey.ts"
import * as Write from "presence-effect/writer/Write"
import { type Asker, Violation } from "./Call.ts"
import { type Action, type Claim, rowCount, sessionCount, type Step } from "./Scenario.ts"
import type { Server, Services } from "./Server.ts"
import type { Stage } from "./Stage.ts"
import { asker } from "./Watch.ts"

/** Every row of the simulation belongs to one account. */
const account = "a"

export const keyOf = (row: number): PresenceKey.PresenceKey =>
  row < sessionCount ? PresenceKey.session(account, `s${row}`) : PresenceKey.machine(account, `m${row}`)

export const keys: ReadonlyArray<PresenceKey.PresenceKey> = Array.from({ length: rowCount }, (_, row) => keyOf(row))

const tableOf = ({ kind }: PresenceKey.PresenceKey): string => (kind === "session" ? '"Session"' : '"Machine"')

/** The description of a plain call. */
const spoken: ReadonlySet<Action["_tag"]> = new Set(["Beat", "Connect", "Disconnect", "Seen"])

/** A failure of a handler is an answer to its client; a defect is not. */
const answered = <A, E>(self: Effect.Effect<A, E>, stage: Stage): Effect.Effect<void> =>
  Effect.catchAllCause(Effect.asVoid(self), (cause) =>
    Effect.sync(() => {
      if (!Cause.isDie(cause)) return
      stage.audit(() => {
        throw new Violation(`a handler died: ${Cause.pretty(cause)}`)
      })
    })
  )

export class Clients {
  private readonly stage: Stage
  private readonly server: Server
  /** Times that were claimed for a row, for clients that send the same one again. */
  private readonly claimed = new Map<number, Array<number>>()
  private markCount = 0
  private readonly skews: ReadonlyArray<number>

  constructor(stage: Stage, server: Server, skews: ReadonlyArray<number>) {
    this.stage = stage
    this.server = server
    this.skews = skews
  }

  private timeOf(row: number, claim: Claim): number {
    const before = this.claimed.get(row) ?? []
    this.claimed.set(row, before)
    if (claim._tag === "Nonsense") return before.length % 2 === 0 ? Number.NaN : -5
    const again = claim._tag === "Again" ? before[Math.floor(claim.choice * before.length)] : undefined
    const at =
      again ?? this.stage.time.wallMillis() + (this.skews[row] ?? 0) - (claim._tag === "Ago" ? claim.millis : 0)
    before.push(at)
    return at
  }

  /** A write leaves its mark in the ledger, so that it can be counted. */
  private marked(operation: string, ...writes: ReadonlyArray<Write.Write<unknown>>): Write.Write<unknown> {
    const mark = `${operation}:${++this.markCount}`
    return Write.all([Write.statement('INSERT INTO "Ledger" (mark) VALUES (?)', [mark]), ...writes])
  }

  private stored(services: Services, key: PresenceKey.PresenceKey) {
    const sql = `SELECT version FROM ${tableOf(key)} WHERE id = ? AND accountId = ?`
    return Effect.map(services.reader.query(sql, [key.id, key.accountId]), (rows) => {
      const [row] = rows as ReadonlyArray<{ readonly version: number }>
      return row
    })
  }

  private register(services: Services, key: PresenceKey.PresenceKey) {
    return Effect.gen(this, function* () {
      if ((yield* this.stored(services, key)) !== undefined) return
      const sql = `INSERT INTO ${tableOf(key)} (id, accountId, active, lastActiveAt) VALUES (?, ?, 1, ?)
ON CONFLICT DO NOTHING`
      const now = this.stage.time.wallMillis()
      this.stage.rows.registers(key, now)
      const insert = Write.statement(sql, [key.id, key.accountId, now], { changes: 1 })
      // A client that disconnects cancels neither the write nor its announcement.
      yield* Effect.uninterruptible(services.writer.write(Lane.control, this.marked("register", insert)))
    })
  }

  private remove(services: Services, key: PresenceKey.PresenceKey) {
    const sql = `DELETE FROM ${tableOf(key)} WHERE id = ? AND accountId = ?`
    const write = this.marked("remove", Write.statement(sql, [key.id, key.accountId], { changes: 1 }))
    return Effect.uninterruptible(
      Effect.tap(services.writer.write(Lane.control, write), () =>
        Effect.sync(() => {
          services.presence.forget(key)
          this.stage.rows.forgotten(key)
        })
      )
    )
  }

  private message(services: Services, key: PresenceKey.PresenceKey) {
    const sql = `UPDATE ${tableOf(key)} SET messages = messages + 1 WHERE id = ? AND accountId = ?`
    const write = this.marked("message", Write.statement(sql, [key.id, key.accountId], { changes: 1 }))
    return services.writer.write(Lane.data, write)
  }

  private rename(services: Services, key: PresenceKey.PresenceKey, isStale: boolean) {
    return Effect.gen(this, function* () {
      const row = yield* this.stored(services, key)
      const version = (row?.version ?? 0) - (isStale ? 1 : 0)
      const sql = `UPDATE ${tableOf(key)} SET version = version + 1 WHERE id = ? AND version = ?`
      const write = this.marked("rename", Write.statement(sql, [key.id, version], { changes: 1 }))
      yield* services.writer.write(Lane.data, write)
    })
  }

  /** No client sends heartbeats for such a session, so the sweep must find it. */
  private import(services: Services) {
    const sql = 'INSERT INTO "Session" (id, accountId, active, lastActiveAt) VALUES (?, ?, 1, ?)'
    const seenAtMillis = this.stage.time.wallMillis() - this.stage.setting.offlineTimeout - 5_000
    const insert = Write.statement(sql, [`imported${this.markCount}`, account, seenAtMillis])
    return services.writer.write(Lane.data, this.marked("message", insert))
  }

  private end(services: Services, key: PresenceKey.PresenceKey, claimed: number) {
    return Effect.gen(this, function* () {
      if ((yield* this.stored(services, key)) === undefined) return
      // Yields first, so that the call to the layer and its record are one step.
      yield* Effect.yieldNow()
      yield* Effect.suspend(() => {
        this.stage.rows.ended(key, claimed)
        return services.presence.end(key, claimed)
      })
    })
  }

  private opaque(services: Services, lane: Lane.Lane, millis: number) {
    const body =
      millis === 0 ? Effect.fail(Object.assign(new Error("busy"), { code: "SQLITE_BUSY" })) : Effect.sleep(millis)
    return services.writer.withPermit(lane)(body)
  }

  private storm(lane: Lane.Lane, count: number): void {
    const client = Effect.gen(this, function* () {
      for (let index = 0; index < count; index++) {
        const services = this.server.services()
        if (services === undefined) return
        const failed = yield* Effect.isFailure(services.writer.write(lane, this.marked("message")))
        if (failed) yield* Effect.sleep(20)
      }
    })
    this.server.fork(answered(client, this.stage))
  }

  /** Does the step, if the server is up. */
  perform(step: Step): void {
    const services = this.server.services()
    if (services === undefined) return
    const { action } = step
    const key = "row" in action ? keyOf(action.row) : undefined
    if (key !== undefined && this.isSpoken(services, action, key)) return
    if (action._tag === "Storm") {
      this.stage.trace.note(`${action.clients} clients storm the lane ${action.lane}`)
      for (let client = 0; client < action.clients; client++) this.storm(Lane.make(action.lane), action.count)
      return
    }
    const request = this.request(services, action, key)
    if (request !== undefined) this.ask(request, step.hangUpMillis)
  }

  /** Plain calls: they are over when they return. */
  private isSpoken(services: Services, action: Action, key: PresenceKey.PresenceKey): boolean {
    const { presence } = services
    const { rows, trace } = this.stage
    const name = `${key.kind} ${key.id}`
    if (action._tag === "Stranger") {
      trace.note(`${name}: a beat for another account`)
      rows.cloud(key)
      presence.beat({ ...key, accountId: "b" }, this.stage.time.wallMillis())
      return true
    }
    if (!spoken.has(action._tag)) return false
    // The real server accepts heartbeats only for the account's own rows, and remembers most owners.
    if (!rows.isStored(key)) return true
    if (action._tag === "Beat") {
      const claimed = this.timeOf(action.row, action.claim)
      const outcome = presence.beat(key, claimed)
      trace.note(`${name}: a beat from ${claimed} is ${outcome}`)
      this.stage.audit(() => rows.beat(key, claimed, outcome))
    } else if (action._tag === "Seen") {
      // Without a heartbeat, only its own connection keeps a row online.
      if (rows.connectionCount(key) === 0) return true
      const outcome = presence.seen(key)
      trace.note(`${name}: seen, ${outcome}`)
      this.stage.audit(() => rows.seen(key, outcome))
    } else if (action._tag === "Connect") {
      const outcome = presence.connected(key)
      trace.note(`${name}: connected, ${outcome}`)
      this.stage.audit(() => rows.connected(key, outcome))
    } else {
      trace.note(`${name}: disconnected`)
      presence.disconnected(key)
      rows.disconnected(key)
    }
    return true
  }

  private request(
    services: Services,
    action: Action,
    key: PresenceKey.PresenceKey | undefined
  ): Effect.Effect<unknown, unknown> | undefined {
    if (action._tag === "Prune") return services.writer.write(Lane.maintenance, this.marked("prune"))
    if (action._tag === "Import") return this.import(services)
    if (action._tag === "Opaque") return this.opaque(services, Lane.make(action.lane), action.millis)
    if (key === undefined) return undefined
    switch (action._tag) {
      case "Register":
        return this.register(services, key)
      case "Remove":
        return this.remove(services, key)
      case "Message":
        return this.message(services, key)
      case "Rename":
        return this.rename(services, key, action.isStale)
      case "End": {
        const claimed = this.timeOf(action.row, action.claim)
        this.stage.trace.note(`${key.kind} ${key.id}: ends at ${claimed}`)
        return this.end(services, key, claimed)
      }
      default:
        return undefined
    }
  }

  /** One client with one request. */
  private ask(request: Effect.Effect<unknown, unknown>, hangUpMillis: number | undefined): void {
    let fiber: Fiber.RuntimeFiber<void> | undefined
    const who: Asker = {
      hangUp: () => {
        if (fiber === undefined || fiber.unsafePoll() !== null) return
        this.server.watch.hangUp(who)
        fiber.unsafeInterruptAsFork(FiberId.none)
      }
    }
    fiber = this.server.fork(Effect.locally(answered(request, this.stage), asker, who))
    if (hangUpMillis !== undefined) this.stage.time.after(hangUpMillis, who.hangUp)
  }
}
