/** The server: routes on `fastify.presence`, and what follows when a device goes offline. */
import Database from "better-sqlite3"
import Fastify, { type FastifyInstance } from "fastify"
import * as FastifyPresence from "presence-effect/host/FastifyPresence"
import type * as PresenceHost from "presence-effect/host/PresenceHost"
import * as Lane from "presence-effect/writer/Lane"
import * as Write from "presence-effect/writer/Write"
import * as WriterError from "presence-effect/writer/WriterError"
import * as Fleet from "./Fleet.ts"

declare module "presence-effect/host/FastifyPresence" {
  interface FastifyPresenceTypes {
    key: Fleet.Key
  }
}

/** A server whose importers need not know that a plugin decorates it. */
export type FleetApp = FastifyInstance & { readonly presence: PresenceHost.PresenceHost<Fleet.Key> }

interface DeviceParams {
  readonly Params: { readonly fleet: string; readonly number: string }
}

interface JobParams {
  readonly Params: { readonly id: string }
}

const deviceKey = (fleet: string, number: string) => ({ kind: "device", accountId: fleet, id: number }) as const

/** Text that is short enough for an id. */
const id = { type: "string", minLength: 1, maxLength: 64 } as const
const paramsOf = (...names: ReadonlyArray<string>) => ({
  type: "object",
  properties: Object.fromEntries(names.map((name) => [name, id]))
})

const readingBody = {
  type: "array",
  maxItems: 1_000,
  items: {
    type: "object",
    required: ["atMillis", "value"],
    properties: { atMillis: { type: "integer" }, value: { type: "number" } }
  }
}

const addDeviceRoutes = (app: FastifyInstance, reader: Database.Database): void => {
  const schema = { params: paramsOf("fleet", "number") }
  const device = "/fleets/:fleet/devices/:number"

  app.put<DeviceParams>(device, { schema }, async ({ params: { fleet, number } }, reply) => {
    const insert = Write.statement("INSERT OR IGNORE INTO Device (number, fleet) VALUES (?, ?)", [number, fleet])
    await app.presence.write(Lane.control, insert)
    return reply.code(201).send({ fleet, number })
  })

  app.post<DeviceParams>(`${device}/beats`, { schema }, async ({ params: { fleet, number } }) => ({
    outcome: app.presence.beat(deviceKey(fleet, number), Date.now())
  }))

  /** The device signs off. Its jobs go to others. */
  app.delete<DeviceParams>(`${device}/presence`, { schema }, async ({ params: { fleet, number } }, reply) => {
    await app.presence.end(deviceKey(fleet, number), Date.now())
    return reply.code(204).send()
  })

  app.post<DeviceParams & { readonly Body: ReadonlyArray<{ readonly atMillis: number; readonly value: number }> }>(
    `${device}/readings`,
    { schema: { ...schema, body: readingBody } },
    async ({ body, params: { fleet, number } }, reply) => {
      const insert = `INSERT OR IGNORE INTO Reading (fleet, device, atMillis, value)
        SELECT ?, ?, value ->> 'atMillis', value ->> 'value' FROM json_each(?)`
      await app.presence.write(Fleet.telemetry, Write.statement(insert, [fleet, number, JSON.stringify(body)]))
      return reply.code(202).send({ accepted: body.length })
    }
  )

  const select = reader.prepare<[string], { readonly number: string }>("SELECT number FROM Device WHERE fleet = ?")
  app.get<DeviceParams>("/fleets/:fleet/devices", { schema: { params: paramsOf("fleet") } }, async ({ params }) =>
    select.all(params.fleet).map(({ number }) => ({
      number,
      isOnline: app.presence.lastSeen(deviceKey(params.fleet, number))?.isOnline ?? false
    }))
  )
}

const addJobRoutes = (app: FastifyInstance, reader: Database.Database): void => {
  const schema = { params: paramsOf("id") }

  /** Gives the job to the device of its fleet that has the fewest, among those that are online. */
  app.put<JobParams & { readonly Body: { readonly fleet: string } }>(
    "/jobs/:id",
    { schema: { ...schema, body: { type: "object", required: ["fleet"], properties: { fleet: id } } } },
    async ({ body: { fleet }, params }, reply) => {
      const assign = Write.statement(
        `INSERT INTO Assignment (job, fleet, device) SELECT ?, ?, (
           SELECT number FROM Device WHERE Device.fleet = ? AND active = 1
           ORDER BY (SELECT count(*) FROM Assignment AS a WHERE a.fleet = Device.fleet AND a.device = number), number
           LIMIT 1
         ) RETURNING device`,
        [params.id, fleet, fleet]
      )
      const job = Write.statement("INSERT INTO Job (id) VALUES (?)", [params.id])
      const { rows } = await app.presence.write(Fleet.dispatch, Write.andThen(job, assign))
      return reply.code(201).send({ id: params.id, device: rows[0]?.["device"] ?? null })
    }
  )

  app.post<JobParams>("/jobs/:id/progress", { schema }, async ({ params }) => ({
    outcome: app.presence.beat({ kind: "job", id: params.id }, Date.now())
  }))

  const select = reader.prepare("SELECT job AS id, fleet, device FROM Assignment WHERE job = ?")
  app.get<JobParams>("/jobs/:id", { schema }, async ({ params }, reply) => {
    const job = select.get(params.id)
    if (job === undefined) return reply.code(404).send({ error: "no such job" })
    return { ...Object(job), isRunning: app.presence.lastSeen({ kind: "job", id: params.id })?.isOnline ?? false }
  })
}

/** Takes its jobs from a device that is gone. They wait for another. */
const releaseJobs = (app: FastifyInstance): void => {
  const stop = app.presence.onTransition(({ key, reason }) => {
    if (key.kind !== "device") return
    const sql = "UPDATE Assignment SET device = NULL WHERE fleet = ? AND device = ?"
    const release = Write.statement(sql, [key.accountId, key.id])
    app.presence.write(Fleet.dispatch, release).then(
      ({ changes }) => app.log.info({ device: key.id, reason, changes }, "device is offline, its jobs are released"),
      (error) => app.log.error({ device: key.id, error }, "jobs of an offline device stay assigned")
    )
  })
  app.addHook("onClose", async () => stop())
}

/** Refusals say when to come again; what the database refuses is the fault of the request. */
const answerFailures = (app: FastifyInstance): void => {
  app.setErrorHandler((error, _request, reply) => {
    if (!WriterError.isWriterError(error)) return reply.send(error)
    if (error._tag === "WriteRejected") return reply.code(409).send({ error: error.message })
    return reply.code(503).header("retry-after", "2").send({ error: error.message, written: error.written })
  })
}

/** Opens the file, which it makes if it is not there, and builds the server without listening. */
export const make = async (filename: string, { isLogged = true } = {}): Promise<FleetApp> => {
  new Database(filename).exec(Fleet.schema).close()
  const app = Fastify({ logger: isLogged, pluginTimeout: 60_000 })
  await app.register(FastifyPresence.plugin, {
    filename,
    kinds: Fleet.kinds,
    policy: Fleet.policy,
    presence: { interval: "2 seconds", kinds: { job: { offlineTimeout: "5 minutes" } } }
  })
  const reader = new Database(filename, { readonly: true, timeout: 0 })
  app.addHook("onClose", async () => reader.close())
  answerFailures(app)
  releaseJobs(app)
  addDeviceRoutes(app, reader)
  addJobRoutes(app, reader)
  return app
}
