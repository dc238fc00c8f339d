const nobodyWakes = new Int32Array(new SharedArrayBuffer(4))

/** Blocks the calling thread, as a slow disk and a slow answer do. Timers are too coarse for five milliseconds. */
export const blockFor = (millis: number): void => {
  if (millis > 0) Atomics.wait(nobodyWakes, 0, 0, millis)
}
