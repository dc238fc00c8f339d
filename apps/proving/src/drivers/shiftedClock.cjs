/** Loaded into a process before anything else, and into each of its threads: see `ShiftedClock.ts`. */
const Real = Date
const shiftMillis = Number(process.env["CLOCK_SHIFT_MILLIS"])
const now = () => Real.now() + shiftMillis
globalThis.Date = new Proxy(Real, {
  apply: () => new Real(now()).toString(),
  construct: (target, given, made) => Reflect.construct(target, given.length === 0 ? [now()] : given, made),
  get: (target, name, receiver) => (name === "now" ? now : Reflect.get(target, name, receiver))
})
