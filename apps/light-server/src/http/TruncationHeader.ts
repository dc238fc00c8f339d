/**
 * A list that was cut because the rest would weigh too much, and that has no
 * cursor to go on from. Clients accept no other keys in a body, so a header
 * says it.
 */
import type { AnyReply } from "./Answer.ts"

export const header = "x-list-cut"

export const mark = (reply: Pick<AnyReply, "header">, { isCut }: { readonly isCut: boolean }): void => {
  if (isCut) reply.header(header, "bytes")
}
