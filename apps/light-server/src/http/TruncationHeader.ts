/**
 * A list that was cut because of its size and has no cursor. Clients accept no
 * other keys in a body, so a header marks it.
 */
import type { AnyReply } from "./Answer.ts"

export const header = "x-list-cut"

export const mark = (reply: Pick<AnyReply, "header">, { isCut }: { readonly isCut: boolean }): void => {
  if (isCut) reply.header(header, "bytes")
}
