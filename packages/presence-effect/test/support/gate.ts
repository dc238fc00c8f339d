/** A promise that is kept from outside: code without Effect waits at it. */
export interface Gate<A> {
  readonly promise: Promise<A>
  readonly open: (value: A) => void
}

export const gate = <A = void>(): Gate<A> => {
  let open: (value: A) => void = () => undefined
  const promise = new Promise<A>((resolve) => {
    open = resolve
  })
  return { promise, open }
}
