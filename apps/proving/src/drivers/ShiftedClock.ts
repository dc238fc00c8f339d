/** A process whose wall clock is ahead of the one of the box, or behind it. Its monotonic time is not moved. */

/** Runs before anything else in the process, and in each of its threads. */
const preload = (millis: number): string => `
const Real = Date
const now = () => Real.now() + ${millis}
globalThis.Date = new Proxy(Real, {
  apply: () => new Real(now()).toString(),
  construct: (target, given, made) => Reflect.construct(target, given.length === 0 ? [now()] : given, made),
  get: (target, name, receiver) => (name === "now" ? now : Reflect.get(target, name, receiver))
})`

/** What the process must have in its environment. */
export const environment = (millis: number): { readonly NODE_OPTIONS: string } => ({
  NODE_OPTIONS: `--import=data:text/javascript;base64,${Buffer.from(preload(millis)).toString("base64")}`
})
