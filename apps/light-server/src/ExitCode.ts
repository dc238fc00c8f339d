/** Exit codes of the process. 2, for arguments that mean nothing, is set by `main`, before this is loaded. */
import { Match } from "effect"
import type { AdminError } from "./admin/AdminClient.ts"
import type { ImportError } from "./adoption/DatabaseImport.ts"
import type { BackupImpossible } from "./operator/BackupError.ts"
import type { CopyFailure } from "./operator/PostgresCopy.ts"
import type { FileNeeded } from "./operator/FileDemand.ts"
import type { RestoreError } from "./operator/Restore.ts"
import type { ServiceFailed } from "./operator/ServiceFailed.ts"
import type { SetupRefused } from "./operator/SetupFile.ts"
import type { DatabaseGivenUp, DatabaseReplaced } from "./health/Readiness.ts"
import type { StartFailure } from "./LightServer.ts"
import type { ConfigInvalid } from "./config/ServerConfig.ts"
import type { CompactionFailed } from "./opening/DatabaseCompaction.ts"

/** Ended by a signal, with everything written. */
export const ok = 0

/** Failed in a way that has no code of its own. */
export const failure = 1

/** The directory, the secret or the database cannot be used. */
export const storage = 4

const config = 3
const migration = 5

/** Not `temporary`: a server that was started twice by mistake must not be restarted for ever. */
const running = 6

/** A supervisor may try again. */
const temporary = 75

/** The port is still in use, or the address is not available yet: a VPN is late, or a name does not resolve. */
const passing: ReadonlySet<string> = new Set(["EADDRINUSE", "EADDRNOTAVAIL", "ENOTFOUND", "EAI_AGAIN"])

/** Everything that ends the program by itself. */
export type EndFailure =
  | StartFailure
  | ConfigInvalid
  | DatabaseReplaced
  | DatabaseGivenUp
  | ImportError
  | CompactionFailed
  | AdminError
  | BackupImpossible
  | RestoreError
  | CopyFailure
  | FileNeeded
  | ServiceFailed
  | SetupRefused

/** Code of a failure. A new failure does not compile until it has one. */
export const of: (failure: EndFailure) => number = Match.type<EndFailure>().pipe(
  Match.tagsExhaustive({
    ConfigInvalid: () => config,
    PolicyInvalid: () => config,
    StorageInvalid: () => config,
    ListenFailed: ({ code }) => (passing.has(code) ? temporary : config),
    DataDirectoryUnusable: () => storage,
    EngineFault: ({ reason }) => (reason === "Busy" ? temporary : storage),
    RedisUnusable: ({ reason }) => (reason === "Unreachable" ? temporary : config),
    ReadFailed: () => storage,
    StorageUnreadable: () => storage,
    DatabaseReplaced: () => storage,
    DatabaseGivenUp: () => storage,
    DatabaseDamaged: () => storage,
    SqliteAffected: () => storage,
    InstanceRunning: () => running,
    InstanceLockUnusable: () => storage,
    DatabaseInvalid: () => storage,
    DatabaseUnwritable: () => storage,
    DatabaseUnreachable: () => storage,
    BackupFailed: () => storage,
    CompactionFailed: () => storage,
    CopyRefused: () => storage,
    FileNeeded: () => config,
    PostgresUnreachable: () => temporary,
    PostgresUnusable: () => storage,
    MigrationBusy: () => temporary,
    MigrationsMissing: () => migration,
    MigrationFolderInvalid: () => migration,
    MigrationFailed: () => migration,
    ForeignKeyBroken: () => migration,
    MigrationUnknown: () => migration,
    MigrationEdited: () => migration,
    MigrationUnfinished: () => migration,
    MigrationSkipped: () => migration,
    MigrationHistoryAbsent: () => migration,
    AdoptionRefused: () => migration,
    AdoptionMissing: () => migration,
    ImportSourceRefused: () => migration,
    ImportTargetRefused: () => storage,
    ImportMismatch: () => storage,
    BackupImpossible: () => storage,
    BackupUnsound: () => storage,
    RestoreFailed: () => storage,
    ServiceFailed: () => failure,
    SetupRefused: () => failure,
    ServerNotRunning: () => failure,
    AdminForbidden: () => storage,
    AdminRefused: () => failure,
    AdminUnanswered: () => temporary
  })
)

/** What went wrong, in one text. */
export const describe = (failure: EndFailure): string =>
  failure._tag === "EngineFault"
    ? `the database cannot be opened (${failure.code}): ${failure.detail}`
    : failure.message
