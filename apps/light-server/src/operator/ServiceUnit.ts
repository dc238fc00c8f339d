/** The text by which a supervisor runs the server: a unit of systemd, or a job of launchd. */
import path from "node:path"

export interface ServiceOptions {
  /** Program and script, absolute. */
  readonly node: string
  readonly main: string
  readonly dataDirectory: string
  /** Directories besides that the server writes to. */
  readonly otherDirectories: ReadonlyArray<string>
  /** A configuration file outside the data directory. */
  readonly configFile: string | undefined
  /** User of a unit of the whole system; `undefined`: the unit belongs to a user and runs as that one. */
  readonly runAs: string | undefined
  /** Longest time from a signal to the end. */
  readonly shutdownTimeoutMillis: number
}

export const unitName = "light-server.service"
export const jobLabel = "light-server"

/** An argument of a unit: in quotes, with what systemd would replace. */
const quoted = (text: string): string =>
  `"${text.replaceAll("\\", "\\\\").replaceAll(`"`, `\\"`).replaceAll("%", "%%").replaceAll("$", "$$$$")}"`

/** A path of a list of paths: blanks would separate it. */
const listed = (text: string): string => (/\s/.test(text) ? quoted(text) : text.replaceAll("%", "%%"))

const isBelow = (file: string, directory: string): boolean => !path.relative(directory, file).startsWith("..")

/** Program, data or configuration in a home can still be read, and only the directories of the server written. */
const protectHome = (paths: ReadonlyArray<string>): string =>
  paths.some((file) => ["/home", "/root", "/run/user"].some((home) => isBelow(file, home))) ? "read-only" : "yes"

/** What only the manager of the whole system can do. V8 makes code at run time, so memory may become executable. */
const sandbox = ({
  configFile,
  dataDirectory,
  main,
  node,
  otherDirectories
}: ServiceOptions): ReadonlyArray<string> => [
  "ProtectSystem=strict",
  `ProtectHome=${protectHome([node, main, dataDirectory, ...otherDirectories, configFile ?? main])}`,
  `ReadWritePaths=${[dataDirectory, ...otherDirectories].map((directory) => listed(directory)).join(" ")}`,
  "PrivateTmp=yes",
  "PrivateDevices=yes",
  "ProtectClock=yes",
  "ProtectControlGroups=yes",
  "ProtectHostname=yes",
  "ProtectKernelLogs=yes",
  "ProtectKernelModules=yes",
  "ProtectKernelTunables=yes",
  "ProtectProc=invisible",
  "ProcSubset=all",
  "RestrictNamespaces=yes",
  "RestrictRealtime=yes",
  "RestrictSUIDSGID=yes",
  "RemoveIPC=yes",
  "LockPersonality=yes",
  "CapabilityBoundingSet=",
  "AmbientCapabilities=",
  "SystemCallArchitectures=native",
  "SystemCallFilter=@system-service",
  "SystemCallFilter=~@privileged @resources",
  "SystemCallErrorNumber=EPERM",
  "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
  "DevicePolicy=closed"
]

/** Codes after which another start would fail in the same way. */
const finalCodes = "2 3 5 6"

/** A second above what the server itself allows. */
const stopSeconds = ({ shutdownTimeoutMillis }: ServiceOptions) => Math.ceil(shutdownTimeoutMillis / 1000) + 5

const command = ({ configFile, main, node }: ServiceOptions): ReadonlyArray<string> => [
  node,
  main,
  "serve",
  ...(configFile === undefined ? [] : ["--config", configFile])
]

export const systemd = (options: ServiceOptions): string => {
  const { dataDirectory, runAs } = options
  const isSystem = runAs !== undefined
  return [
    "[Unit]",
    "Description=light server: machines and sessions online",
    ...(isSystem ? ["Wants=network-online.target", "After=network-online.target"] : []),
    "",
    "[Service]",
    "Type=notify",
    // The server has systemd-notify send its messages.
    "NotifyAccess=all",
    "WatchdogSec=60",
    `ExecStart=${command(options).map(quoted).join(" ")}`,
    `Environment=${quoted(`HAPPIER_SERVER_LIGHT_DATA_DIR=${dataDirectory}`)}`,
    ...(isSystem ? [`User=${runAs}`] : []),
    "Restart=on-failure",
    "RestartSec=5",
    `RestartPreventExitStatus=${finalCodes}`,
    "TimeoutStartSec=15min",
    `TimeoutStopSec=${stopSeconds(options)}`,
    "UMask=0077",
    "LimitNOFILE=65536",
    "NoNewPrivileges=yes",
    ...(isSystem ? sandbox(options) : []),
    "",
    "[Install]",
    `WantedBy=${isSystem ? "multi-user.target" : "default.target"}`,
    ""
  ].join("\n")
}

const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

export const launchd = (options: ServiceOptions): string => {
  const { dataDirectory } = options
  const log = path.join(dataDirectory, "light-server.log")
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key><string>${jobLabel}</string>
  <key>ProgramArguments</key>
  <array>
${command(options)
  .map((word) => `    <string>${escaped(word)}</string>`)
  .join("\n")}
  </array>
  <key>EnvironmentVariables</key>
  <dict><key>HAPPIER_SERVER_LIGHT_DATA_DIR</key><string>${escaped(dataDirectory)}</string></dict>
  <key>RunAtLoad</key><true/>
  <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
  <key>ThrottleInterval</key><integer>5</integer>
  <key>ExitTimeOut</key><integer>${stopSeconds(options)}</integer>
  <key>Umask</key><integer>63</integer>
  <key>StandardOutPath</key><string>${escaped(log)}</string>
  <key>StandardErrorPath</key><string>${escaped(log)}</string>
</dict>
</plist>
`
}
