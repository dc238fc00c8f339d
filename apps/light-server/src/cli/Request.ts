/** What the arguments of the program ask for. */
import type { LogLevelName } from "../LogLevels.ts"

interface Printed {
  /** As JSON, for programs. */
  readonly isJson: boolean
}

export type AccountAction =
  | { readonly _tag: "List" }
  | { readonly _tag: "Show"; readonly account: string }
  | { readonly _tag: "Delete" | "Disable" | "Enable"; readonly account: string }

export type DeviceAction =
  | { readonly _tag: "List"; readonly account: string }
  | { readonly _tag: "Revoke"; readonly account: string; readonly device: string }

/** Settings of `--set`, by name; `--config` is one of them. */
export interface Settings {
  readonly [name: string]: string
}

export type Request =
  | { readonly _tag: "Serve" }
  | ({ readonly _tag: "Status"; readonly isWatched: boolean } & Printed)
  | ({ readonly _tag: "Accounts"; readonly action: AccountAction } & Printed)
  | ({ readonly _tag: "Devices"; readonly action: DeviceAction } & Printed)
  | ({ readonly _tag: "LogLevel"; readonly level: LogLevelName | undefined } & Printed)
  | ({ readonly _tag: "Import"; readonly from: string; readonly into: string | undefined } & Printed)
  | ({ readonly _tag: "Copy"; readonly from: string | undefined; readonly to: string } & Printed)
  | ({ readonly _tag: "Compact" } & Printed)
  | ({ readonly _tag: "Migrate"; readonly isDryRun: boolean } & Printed)
  | ({
      readonly _tag: "Backup"
      /** The directory of the configuration, unless given. */
      readonly to: string | undefined
      readonly keep: number | undefined
      /** A backup that is only checked. */
      readonly verify: string | undefined
      readonly withSecret: boolean
    } & Printed)
  | ({ readonly _tag: "Doctor"; readonly isFixed: boolean } & Printed)
  | ({ readonly _tag: "Restore"; readonly from: string } & Printed)
  | ({
      readonly _tag: "Setup"
      readonly settings: Settings
      readonly isForced: boolean
      readonly isQuiet: boolean
    } & Printed)
  | {
      readonly _tag: "Service"
      readonly action: "print" | "install" | "uninstall"
      readonly runAs: string | undefined
      readonly to: string | undefined
    }
  | ({ readonly _tag: "Version" } & Printed)
  | ({ readonly _tag: "Config"; readonly action: "print" | "check" | "schema" } & Printed)
  /** A text that was asked for. */
  | { readonly _tag: "Help"; readonly text: string }
  /** Arguments that mean nothing, in one line. */
  | { readonly _tag: "Misuse"; readonly text: string }
