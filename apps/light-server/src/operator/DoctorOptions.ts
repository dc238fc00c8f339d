/** What the doctor has to know of the configuration and of the running server. */

export interface ServerState {
  readonly isReady: boolean
  readonly url: string
  readonly pid: number
  readonly checks: ReadonlyArray<{
    readonly name: string
    readonly ok: boolean
    readonly code: string
    readonly detail: string
  }>
}

export interface DoctorOptions {
  readonly dataDirectory: string
  readonly databaseFile: string
  readonly migrationsDir: string
  readonly backupDirectory: string
  /** Zero: the server makes no backups by itself. */
  readonly backupIntervalMillis: number
  /** The secret comes from the environment. */
  readonly hasOwnSecret: boolean
  readonly reserveBytes: number
  /** Size of the log above which a checkpoint empties it; negative: no limit. */
  readonly logLimitBytes: number
  readonly host: string
  readonly publicUrl: string | undefined
  readonly corsOrigins: ReadonlyArray<string>
  readonly trustedProxies: ReadonlyArray<string>
  /** `undefined`: no server runs on the data directory. */
  readonly server: ServerState | undefined
  /** Free bytes on the disk of a directory. Asked of the system, unless given. */
  readonly freeBytes?: (directory: string) => number | undefined
  /** Longest wait for the write lock and for an answer of the public address, 5 seconds unless given. */
  readonly patienceMillis?: number
}
