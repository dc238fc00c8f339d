/** How much of a part runs. */

/** Each change must pass what runs now, so what takes minutes is left out. */
export const isQuick: boolean = process.env["PROVE_QUICK"] === "1"
