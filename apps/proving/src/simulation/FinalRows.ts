/** The final state that every row of the file must have. */
import type { PresenceKey } from "./PresenceKey.ts"
import { Violation } from "./Call.ts"
import type { Setting } from "./Scenario.ts"
import { nameOf, show, type StoredRow } from "./StoredRow.ts"
import type { Told } from "./Told.ts"

type ToldRows = ReadonlyMap<string, Told>
type StoredRows = ReadonlyMap<string, StoredRow>

/** No row may be online in memory that is offline in the file. */
export const demandAgreement = (told: ToldRows, stored: StoredRows, isOnline: (key: PresenceKey) => boolean): void => {
  for (const row of stored.values()) {
    if (told.get(nameOf(row))?.isClouded === true) continue
    if (!row.isActive && isOnline(row)) throw new Violation(`${nameOf(row)} is online in memory alone`)
  }
}

/** A row that was seen last before the start and has not come back is offline. */
export const demandBack = (told: ToldRows, stored: StoredRows, bootedAt: number): void => {
  for (const [name, row] of stored) {
    const isUntold = told.get(name)?.arrivedAt === undefined
    if (!row.isActive || !isUntold || row.lastMillis >= bootedAt - 1_000) continue
    throw new Violation(`${name} is ${show(row)} long after the start at ${bootedAt}, and never came back`)
  }
}

/**
 * No row is shown online. For a row that is not in memory the server uses the stored time, so a time from before
 * the clock was set back holds it up, unless it lies too far ahead.
 */
export const demandSilence = (
  told: ToldRows,
  stored: StoredRows,
  { acceptanceWindow, offlineTimeout }: Pick<Setting, "acceptanceWindow" | "offlineTimeout">,
  now: number
): void => {
  const isBelievable = (millis: number) => millis >= now - offlineTimeout && millis <= now + acceptanceWindow
  for (const row of stored.values()) {
    const isHeldUp = told.get(nameOf(row))?.arrivedAt === undefined && isBelievable(row.lastMillis)
    if (row.isActive && !isHeldUp) throw new Violation(`${nameOf(row)} is ${show(row)}, and silent for ever`)
  }
}
