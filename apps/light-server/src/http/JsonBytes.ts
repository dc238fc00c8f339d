/** An answer that is JSON text already: it is sent as it is. */
import type { AnyReply } from "./Answer.ts"

/** Sets the content type of the answer and returns it. */
export const of = (reply: Pick<AnyReply, "header">, bytes: Uint8Array): Uint8Array => {
  reply.header("content-type", "application/json; charset=utf-8")
  return bytes
}
