/**
 * What a scenario needs from the machine, and how to check whether it is available.
 */
import { spawnSync } from "node:child_process"
import fs from "node:fs"

export type Need = "root" | "strace" | "faketime" | "loop" | "tmpfs" | "prlimit" | "setpriv" | "chattr"

const answers = (program: string, ...args: ReadonlyArray<string>): boolean =>
  spawnSync(program, args, { stdio: "ignore" }).status === 0

const isRoot = (): boolean => process.getuid?.() === 0

/** The variant for programs with threads. */
export const faketimeLibrary = (): string | undefined =>
  ["x86_64-linux-gnu", "aarch64-linux-gnu", "."]
    .map((triplet) => `/usr/lib/${triplet}/faketime/libfaketimeMT.so.1`)
    .find((file) => fs.existsSync(file))

/** Attaching to a process of the same user is forbidden on many machines, and always allowed to root. */
const mayTrace = (): boolean => {
  const policy = "/proc/sys/kernel/yama/ptrace_scope"
  return isRoot() || !fs.existsSync(policy) || fs.readFileSync(policy, "utf8").trim() === "0"
}

/** Mounting is refused in many containers, even to root. */
const canMount = (): boolean => isRoot() && answers("unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt")

/** Why the machine cannot offer it; nothing when it can. */
const missing: Record<Need, () => string | undefined> = {
  root: () => (isRoot() ? undefined : "only root may do this"),
  strace: () => {
    if (!answers("strace", "-V")) return "strace is not installed"
    return mayTrace() ? undefined : "this machine forbids to attach to a process"
  },
  faketime: () => (faketimeLibrary() === undefined ? "libfaketime is not installed" : undefined),
  tmpfs: () => (canMount() ? undefined : "no file system can be mounted here"),
  loop: () => {
    if (!canMount()) return "no file system can be mounted here"
    if (!answers("mkfs.ext4", "-V")) return "mkfs.ext4 is not installed"
    return answers("losetup", "--find") ? undefined : "there is no free loop device"
  },
  prlimit: () => (answers("prlimit", "--version") ? undefined : "prlimit is not installed"),
  setpriv: () => (isRoot() && answers("setpriv", "--version") ? undefined : "setpriv needs root"),
  chattr: () => (isRoot() && fs.existsSync("/usr/bin/chattr") ? undefined : "chattr needs root")
}

const known = new Map<Need, string | undefined>()

/** Why a scenario cannot run here, one reason per need that is not met. */
export const reasons = (needs: ReadonlyArray<Need>): ReadonlyArray<string> =>
  needs.flatMap((need) => {
    if (!known.has(need)) known.set(need, missing[need]())
    return known.get(need) ?? []
  })

/** Where each program comes from, by the names that Debian gives to packages. */
const packages: ReadonlyArray<{ readonly name: string; readonly isThere: () => boolean }> = [
  { name: "strace", isThere: () => answers("strace", "-V") },
  { name: "faketime", isThere: () => faketimeLibrary() !== undefined },
  { name: "e2fsprogs", isThere: () => answers("mkfs.ext4", "-V") },
  { name: "util-linux", isThere: () => answers("prlimit", "--version") && answers("setpriv", "--version") }
]

/** Installs what is missing and has a package, with apt only. Returns what it did. */
export const setUp = (): string => {
  const wanted = packages.flatMap(({ isThere, name }) => (isThere() ? [] : [name]))
  if (wanted.length === 0) return "nothing is missing"
  if (!isRoot() || !answers("apt-get", "--version")) return `install by hand, as root: ${wanted.join(" ")}`
  const apt = (...args: ReadonlyArray<string>) => spawnSync("apt-get", args, { stdio: "inherit" }).status === 0
  const isDone = apt("update", "-q") && apt("install", "-q", "-y", "--no-install-recommends", ...wanted)
  known.clear()
  return isDone ? `installed ${wanted.join(" ")}` : `apt-get could not install ${wanted.join(" ")}`
}
