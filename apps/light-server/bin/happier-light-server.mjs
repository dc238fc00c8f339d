#!/usr/bin/env node
/** The command, in a clone and in a package. A file that is there before the first build, so that npm can link it. */
import { existsSync } from "node:fs"

const main = new URL("../dist/bundle/main.js", import.meta.url)

if (existsSync(main)) {
  await import(main.href)
} else {
  process.stderr.write(
    "happier-light-server: this clone is not built yet; npm start builds it, and so does npm run build\n"
  )
  process.exitCode = 1
}
