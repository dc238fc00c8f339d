/** Why a server with `REDIS_URL` did not start. */
import { Schema } from "effect"

/**
 * - `Unreachable`: nothing answers there, which may pass.
 * - `Refused`: it answers, and does not let this server do what it needs.
 */
export class RedisUnusable extends Schema.TaggedError<RedisUnusable>("light-server/RedisUnusable")("RedisUnusable", {
  host: Schema.String,
  port: Schema.Int,
  reason: Schema.Literal("Unreachable", "Refused"),
  detail: Schema.String
}) {
  override get message(): string {
    return `Redis at ${this.host}:${this.port}, from REDIS_URL, cannot be used: ${this.detail}`
  }
}
