/** The text by which a supervisor runs the server: a unit of systemd, or a job of launchd. */
import path from "node:path"
import { programName } from "../Version.ts"

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

/** What only the manager of the whole system can do, besides the directories that stay open. */
const sandbox: ReadonlyArray<string> = [
  "# V8 makes machine code at run time, so MemoryDenyWriteExecute= stays off.",
  "ProtectSystem=strict",
  "PrivateTmp=yes",
  "PrivateDevices=yes",
  "PrivateUsers=yes",
  "ProtectClock=yes",
  "ProtectControlGroups=yes",
  "ProtectHostname=yes",
  "ProtectKernelLogs=yes",
  "ProtectKernelModules=yes",
  "ProtectKernelTunables=yes",
  "ProtectProc=invisible",
  "RestrictNamespaces=yes",
  "RestrictRealtime=yes",
  "RestrictSUIDSGID=yes",
  "RemoveIPC=yes",
  "LockPersonality=yes",
  "CapabilityBoundingSet=",
  "AmbientCapabilities=",
  "DevicePolicy=closed",
  "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
  "SystemCallArchitectures=native",
  "SystemCallFilter=@system-service",
  "SystemCallFilter=~@privileged @resources",
  "SystemCallErrorNumber=EPERM"
]

/** Codes after which another start would fail in the same way. */
const finalCodes = "2 3 5 6"

/** Some seconds above what the server itself allows. */
const stopSeconds = (shutdownTimeoutMillis: number) => Math.ceil(shutdownTimeoutMillis / 1000) + 5

const command = ({ configFile, main, node }: ServiceOptions): ReadonlyArray<string> => [
  node,
  main,
  "serve",
  ...(configFile === undefined ? [] : ["--config", configFile])
]

/** In what the units differ. Lines of a unit, in its order. */
interface Unit {
  readonly head: ReadonlyArray<string>
  /** What is run, with which settings, as whom. */
  readonly process: ReadonlyArray<string>
  /** Directories that stay open; `undefined` for a unit of a user, which has no sandbox. */
  readonly directories: ReadonlyArray<string> | undefined
  readonly shutdownTimeoutMillis: number
}

/** Everything that the units have in common is written here, once. */
const render = ({ directories, head, process, shutdownTimeoutMillis }: Unit): string =>
  [
    ...head,
    "[Unit]",
    "Description=light server: machines and sessions online",
    ...(directories === undefined ? [] : ["Wants=network-online.target", "After=network-online.target"]),
    "StartLimitIntervalSec=300",
    "StartLimitBurst=10",
    "",
    "[Service]",
    "Type=notify",
    "# The messages to systemd are sent by systemd-notify, a child of the server.",
    "NotifyAccess=all",
    "WatchdogSec=60",
    ...process,
    "Restart=on-failure",
    "RestartSec=5",
    "# Arguments, configuration, schema, and a second server on one file: another start would fail in the same way.",
    `RestartPreventExitStatus=${finalCodes}`,
    "# A migration of a large database takes minutes.",
    "TimeoutStartSec=15min",
    "# Above HAPPIER_SHUTDOWN_TIMEOUT_MS.",
    `TimeoutStopSec=${stopSeconds(shutdownTimeoutMillis)}`,
    "UMask=0077",
    "# Each socket of a client takes a descriptor.",
    "LimitNOFILE=65536",
    "NoNewPrivileges=yes",
    ...(directories === undefined ? [] : [...directories, ...sandbox]),
    "",
    "[Install]",
    `WantedBy=${directories === undefined ? "default.target" : "multi-user.target"}`,
    ""
  ].join("\n")

/** Directories of the server stay open to it, in a home too. */
const openDirectories = ({ configFile, dataDirectory, main, node, otherDirectories }: ServiceOptions) => [
  `ProtectHome=${protectHome([node, main, dataDirectory, ...otherDirectories, configFile ?? main])}`,
  `ReadWritePaths=${[dataDirectory, ...otherDirectories].map((directory) => listed(directory)).join(" ")}`
]

/** The unit that runs this very program. */
export const systemd = (options: ServiceOptions): string => {
  const { dataDirectory, runAs, shutdownTimeoutMillis } = options
  return render({
    head: [],
    process: [
      `ExecStart=${command(options).map(quoted).join(" ")}`,
      `Environment=${quoted(`HAPPIER_SERVER_LIGHT_DATA_DIR=${dataDirectory}`)}`,
      ...(runAs === undefined ? [] : [`User=${runAs}`])
    ],
    directories: runAs === undefined ? undefined : openDirectories(options),
    shutdownTimeoutMillis
  })
}

/** `deploy/systemd/light-server.service`: for a package that was installed for the whole system, without a user. */
export const packaged = (shutdownTimeoutMillis: number): string =>
  render({
    head: [
      `# The light server as a service of the whole system, for a server that was installed with \`npm install -g\`.`,
      "#",
      `#   cp ${unitName} /etc/systemd/system/`,
      "#   systemctl enable --now light-server",
      "#",
      "# Settings go into /etc/light-server.env, one NAME=value per line. The data is in /var/lib/light-server.",
      "# This file is made by src/operator/ServiceUnit.ts, which also makes the units of `service install`."
    ],
    process: [
      `ExecStart=/usr/local/bin/${programName} serve`,
      "Environment=HAPPIER_SERVER_LIGHT_DATA_DIR=/var/lib/light-server NODE_ENV=production",
      "EnvironmentFile=-/etc/light-server.env",
      "DynamicUser=yes",
      "StateDirectory=light-server",
      "StateDirectoryMode=0700"
    ],
    directories: ["ProtectHome=yes"],
    shutdownTimeoutMillis
  })

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
  <key>ExitTimeOut</key><integer>${stopSeconds(options.shutdownTimeoutMillis)}</integer>
  <key>Umask</key><integer>63</integer>
  <key>StandardOutPath</key><string>${escaped(log)}</string>
  <key>StandardErrorPath</key><string>${escaped(log)}</string>
</dict>
</plist>
`
}
