/** Heartbeats of sessions at a steady rate, as those of many daemons would come. */
import type { Socket } from "socket.io-client"

/** Each of `ids` once per `everyMillis`, in this many portions, until it is stopped. */
const portionCount = 40

export const start = (socket: Socket, ids: ReadonlyArray<string>, everyMillis: number): (() => void) => {
  if (ids.length === 0) return () => undefined
  const portion = Math.ceil(ids.length / portionCount)
  let from = 0
  const timer = setInterval(() => {
    const time = Date.now()
    for (const sid of ids.slice(from, from + portion)) socket.emit("session-alive", { sid, time, thinking: false })
    from = from + portion >= ids.length ? 0 : from + portion
  }, everyMillis / portionCount)
  return () => clearInterval(timer)
}
