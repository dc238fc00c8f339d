/**
 * Every scenario there is, and the numbers that have none.
 */
import type { Scenario } from "./Scenario.ts"
import { F01ForeignLock } from "./scenarios/F01ForeignLock.ts"
import { F02SnapshotConflict } from "./scenarios/F02SnapshotConflict.ts"
import { F03ShortHolders } from "./scenarios/F03ShortHolders.ts"
import { F04DiskFull } from "./scenarios/F04DiskFull.ts"
import { F05FileSizeLimit } from "./scenarios/F05FileSizeLimit.ts"
import { F06DatabaseCap } from "./scenarios/F06DatabaseCap.ts"
import { F07FsyncError } from "./scenarios/F07FsyncError.ts"
import { F08WriteError } from "./scenarios/F08WriteError.ts"
import { F09SlowDisk } from "./scenarios/F09SlowDisk.ts"
import { F10ReadOnly } from "./scenarios/F10ReadOnly.ts"
import { F11Corruption } from "./scenarios/F11Corruption.ts"
import { F12FileReplaced } from "./scenarios/F12FileReplaced.ts"
import { F13LogRemoved } from "./scenarios/F13LogRemoved.ts"
import { F14PinnedReader } from "./scenarios/F14PinnedReader.ts"
import { F15Kill } from "./scenarios/F15Kill.ts"
import { F16PowerCut } from "./scenarios/F16PowerCut.ts"
import { F17ClockJump } from "./scenarios/F17ClockJump.ts"
import { F18Suspension } from "./scenarios/F18Suspension.ts"
import { F19OddBeats } from "./scenarios/F19OddBeats.ts"
import { F20ReconnectStorm } from "./scenarios/F20ReconnectStorm.ts"
import { F21SlowReader } from "./scenarios/F21SlowReader.ts"
import { F22Oversized } from "./scenarios/F22Oversized.ts"
import { F23Descriptors } from "./scenarios/F23Descriptors.ts"
import { F24TokenMisuse } from "./scenarios/F24TokenMisuse.ts"
import { F25Signals } from "./scenarios/F25Signals.ts"
import { F26LoopStall } from "./scenarios/F26LoopStall.ts"
import { F27Memory } from "./scenarios/F27Memory.ts"
import { F28LogFlood } from "./scenarios/F28LogFlood.ts"
import { F29WriterDeath } from "./scenarios/F29WriterDeath.ts"
import { F30ForeignFile } from "./scenarios/F30ForeignFile.ts"
import { F31TwoServers } from "./scenarios/F31TwoServers.ts"
import { F32Backup } from "./scenarios/F32Backup.ts"
import { F33Interleavings } from "./scenarios/F33Interleavings.ts"
import { F35DeletedSessions } from "./scenarios/F35DeletedSessions.ts"
import { F36InvalidBodies } from "./scenarios/F36InvalidBodies.ts"
import { F37NestedBodies } from "./scenarios/F37NestedBodies.ts"
import { F38UnreadAnswers } from "./scenarios/F38UnreadAnswers.ts"
import { F40MadeUpAddresses } from "./scenarios/F40MadeUpAddresses.ts"
import { F39HeavyReads } from "./scenarios/F39HeavyReads.ts"
import { F41Burst } from "./scenarios/F41Burst.ts"
import { F42LargeFrames } from "./scenarios/F42LargeFrames.ts"
import { F43FanOut } from "./scenarios/F43FanOut.ts"
import { F44StorageQuota } from "./scenarios/F44StorageQuota.ts"
import { F45Compaction } from "./scenarios/F45Compaction.ts"

export const scenarios: ReadonlyArray<Scenario> = [
  F01ForeignLock,
  F02SnapshotConflict,
  F03ShortHolders,
  F04DiskFull,
  F05FileSizeLimit,
  F06DatabaseCap,
  F07FsyncError,
  F08WriteError,
  F09SlowDisk,
  F10ReadOnly,
  F11Corruption,
  F12FileReplaced,
  F13LogRemoved,
  F14PinnedReader,
  F15Kill,
  F16PowerCut,
  F17ClockJump,
  F18Suspension,
  F19OddBeats,
  F20ReconnectStorm,
  F21SlowReader,
  F22Oversized,
  F23Descriptors,
  F24TokenMisuse,
  F25Signals,
  F26LoopStall,
  F27Memory,
  F28LogFlood,
  F29WriterDeath,
  F30ForeignFile,
  F31TwoServers,
  F32Backup,
  F33Interleavings,
  F35DeletedSessions,
  F36InvalidBodies,
  F37NestedBodies,
  F38UnreadAnswers,
  F40MadeUpAddresses,
  F39HeavyReads,
  F41Burst,
  F42LargeFrames,
  F43FanOut,
  F44StorageQuota,
  F45Compaction
]

/** Faults of the list that cannot happen to this server. */
export const absent: ReadonlyArray<{ readonly id: string; readonly reason: string }> = [
  { id: "F34", reason: "there is no remote store" }
]

/** Those that are asked for, in the order of the list; or the first name that means none. `F01` is `F1`. */
export const chosen = (names: ReadonlyArray<string>, isQuick: boolean): ReadonlyArray<Scenario> | string => {
  const ids = names.map((name) => name.toUpperCase().replace(/^F0+/, "F"))
  const unknown = ids.findIndex((id) => !scenarios.some((scenario) => scenario.id === id))
  if (unknown >= 0) {
    const reason = absent.find(({ id }) => id === ids[unknown])?.reason
    return `${names[unknown] ?? ""}${reason === undefined ? "" : `: ${reason}`}`
  }
  return scenarios.filter(
    ({ id, ...scenario }) => (!isQuick || scenario.isQuick) && (ids.length === 0 || ids.includes(id))
  )
}
