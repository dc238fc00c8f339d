/**
 * A list that was cut because the rest would weigh too much, and that has no
 * cursor to go on from. Clients accept no other keys in a body, so a header
 * says it.
 *
 * @since 0.1.0
 */
import type { AnyReply } from "./Answer.ts"

/**
 * @category constants
 * @since 0.1.0
 */
export const header = "x-list-cut"

/**
 * @category combinators
 * @since 0.1.0
 */
export const mark = (reply: Pick<AnyReply, "header">, { isCut }: { readonly isCut: boolean }): void => {
  if (isCut) reply.header(header, "bytes")
}
