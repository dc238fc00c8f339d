/** Files that are whole under their name, or not there, also after a power cut. All calls throw the system's errors. */
import fs from "node:fs"
import path from "node:path"

/** Waits until the content of a file, or the names in a directory, are on the disk. */
export const sync = (file: string): void => {
  const descriptor = fs.openSync(file, "r")
  try {
    fs.fsyncSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}

/** Gives a file that is complete its name, in place of what has the name now. */
export const publish = (partial: string, file: string): void => {
  sync(partial)
  fs.renameSync(partial, file)
  sync(path.dirname(file))
}

/** Writes a small file, mode 0600. */
export const write = (file: string, text: string): void => {
  const partial = `${file}.partial`
  fs.rmSync(partial, { force: true })
  fs.writeFileSync(partial, text, { mode: 0o600 })
  publish(partial, file)
}
