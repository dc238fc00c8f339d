/**
 * Goal: a service manager learns when the server is ready, that it goes on, and that it ends.
 * Method: a socket as systemd has it, and the built server beside it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn, spawnSync } from "node:child_process"
import fs from "node:fs"
import path from "node:path"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"
import * as OperatorCommand from "../../src/drivers/OperatorCommand.ts"
import * as TemporaryDirectory from "../../src/drivers/TemporaryDirectory.ts"

/** Node has no datagram sockets of this kind. What a message carries besides its text is closed when it is read. */
const listener = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("bound", flush=True)
while True:
    print(s.recv(4096).decode().replace("\\n", " "), flush=True)
`

const isPossible =
  spawnSync("python3", ["--version"]).status === 0 && spawnSync("systemd-notify", ["--version"]).status === 0

/** Everything that was sent to the socket until now. */
const listen = (socket: string) =>
  Effect.gen(function* () {
    const heard: Array<string> = []
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const child = spawn("python3", ["-c", listener, socket], { stdio: ["ignore", "pipe", "inherit"] })
        child.stdout.on("data", (data) => heard.push(...String(data).trim().split("\n")))
        return child
      }),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    const until = (text: string) =>
      Eventually.until(
        Effect.sync(() => heard.find((message) => message.startsWith(text))),
        (message) => message !== undefined,
        "30 seconds"
      ).pipe(Effect.map(({ answer }) => answer ?? ""))
    yield* until("bound")
    return until
  })

describe("a service manager", () => {
  it.scopedLive.skipIf(!isPossible)(
    "is told that the server is ready, that it goes on, and that it ends",
    () =>
      Effect.gen(function* () {
        const socket = path.join(yield* TemporaryDirectory.make, "notify")
        const until = yield* listen(socket)
        const server = yield* BuiltServer.start({ NOTIFY_SOCKET: socket, WATCHDOG_USEC: "1500000" })
        assert.strictEqual(yield* until("READY=1"), `READY=1 STATUS=serving at ${server.url}`)
        yield* until("WATCHDOG=1")
        assert.strictEqual((yield* server.end("SIGTERM")).code, 0)
        yield* until("STOPPING=1")
      }),
    90_000
  )
})

describe("service", () => {
  it.scopedLive("writes a unit for this installation, and removes it", () =>
    Effect.gen(function* () {
      const to = path.join(yield* TemporaryDirectory.make, "units")
      const directory = path.join(yield* TemporaryDirectory.make, "data")
      const words = ["--run-as", "happier", "--to", to]
      const installed = yield* OperatorCommand.run(["service", "install", ...words], { directory })
      const file = path.join(to, "light-server.service")
      assert.deepStrictEqual([installed.code, installed.stdout], [0, `wrote ${file}\n`])
      const text = fs.readFileSync(file, "utf8")
      assert.match(text, /^ExecStart="\/.*" "\/.*\/main\.js" "serve"$/m)
      assert.include(text, `Environment="HAPPIER_SERVER_LIGHT_DATA_DIR=${directory}"`)
      assert.match(text, /^User=happier$/m)
      const printed = yield* OperatorCommand.run(["service", "print", "--run-as", "happier"], { directory })
      assert.strictEqual(printed.stdout, text)

      const removed = yield* OperatorCommand.run(["service", "uninstall", ...words], { directory })
      assert.strictEqual(removed.code, 0)
      assert.isFalse(fs.existsSync(file))
      const again = yield* OperatorCommand.run(["service", "uninstall", ...words], { directory })
      assert.strictEqual(again.code, 1)
      assert.include(again.stderr, "does not exist")
    })
  )
})
