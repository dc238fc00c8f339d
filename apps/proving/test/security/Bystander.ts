/**
 * A client that goes on using the server while others attack it, and the memory
 * of the server meanwhile.
 */
import { assert } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { execFileSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import type { Server } from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as TimeLimit from "../../src/drivers/TimeLimit.ts"

/** Generous: what is looked for is growth without a bound, not the last page. */
const growthMebibytesMax = 192

const answerMillisMax = 5000

const residentMebibytes = (server: Server) =>
  Effect.map(server.pid, (pid) => {
    const kibibytes = Number(execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" }))
    return Math.round(kibibytes / 1024)
  })

/**
 * Runs the attack, and requires that meanwhile and afterwards every request and
 * event of `device` is served, that memory stays within its limits, and that
 * the log contains no defect.
 */
export const during = <A, E, R>(server: Server, device: Device.Device, attack: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const line = yield* device.connect({ clientType: "user-scoped" })
    const before = yield* residentMebibytes(server)
    let worstMillis = 0
    let peak = before
    const serve = Effect.gen(function* () {
      const answer = yield* Effect.orDie(device.post("/v1/machines", { id: randomUUID(), metadata: "m" }))
      assert.strictEqual(answer.status, 200, answer.text)
      const [lasted] = yield* Effect.timed(line.settled)
      worstMillis = Math.max(worstMillis, answer.millis, Duration.toMillis(lasted))
      peak = Math.max(peak, yield* residentMebibytes(server))
    })
    const served = yield* Effect.fork(Effect.forever(Effect.zipLeft(serve, Effect.sleep("200 millis"))))
    const answer = yield* Effect.raceFirst(attack, Fiber.join(served))
    yield* Fiber.interrupt(served)
    yield* serve
    TimeLimit.holds("the slowest answer to a bystander, in ms", worstMillis, answerMillisMax)
    assert.isBelow(peak - before, growthMebibytesMax, "memory beyond what it was, in MiB")
    assert.isFalse(
      line.heard.some(({ event }) => event === "disconnect"),
      "the bystander was disconnected"
    )
    assert.strictEqual((yield* Effect.orDie(Device.request(`${server.url}/livez`))).status, 200)
    assert.notInclude(server.output(), "DEFECT")
    return answer
  }).pipe(Effect.scoped)
