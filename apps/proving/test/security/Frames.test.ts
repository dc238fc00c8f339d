/**
 * Goal: bytes that are not a valid request, frame or packet, or too many of
 * them, close their own connection at most. Method: each as raw bytes on the
 * built server; a bystander is served meanwhile, memory stays within its
 * limits, and answers are those of the one table.
 */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as Client from "../../src/drivers/AccountClient.ts"
import { RequestUnreadable } from "light-server/src/Failure"
import { toHttp } from "light-server/src/http/FailureTable"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Bystander from "./Bystander.ts"
import * as RawClient from "./RawClient.ts"

const bodyLimitBytes = 65_536

const environment = { HAPPIER_BODY_LIMIT_BYTES: String(bodyLimitBytes) }

const unreadable = (status: number, message: string) => {
  const answer = toHttp(new RequestUnreadable({ status, message }))
  return [answer.status, answer.body] as const
}

const noRequest = unreadable(400, "this is no request of HTTP")
const tooLong = unreadable(431, "the headers are too long")

const get = (...headers: ReadonlyArray<string>) => ["GET /livez HTTP/1.1", "host: x", ...headers, "", ""].join("\r\n")

const post = (...lines: ReadonlyArray<string>) =>
  ["POST /v1/auth HTTP/1.1", "host: x", "content-type: application/json", ...lines].join("\r\n")

/** Two lengths, or a length and chunks: what one proxy takes for a body, the next takes for a request. */
const requests: ReadonlyArray<readonly [what: string, bytes: string, answer: readonly [number, unknown]]> = [
  ["one header that is too long", get(`x: ${"x".repeat(20_000)}`), tooLong],
  [
    "many headers that are too long together",
    get(...Array.from({ length: 900 }, (_, n) => `x${n}: ${"x".repeat(20)}`)),
    tooLong
  ],
  ["headers that never end", `GET / HTTP/1.1\r\n${"x: y\r\n".repeat(20_000)}`, tooLong],
  ["a path that never ends", `GET /${"x".repeat(100_000)}`, tooLong],
  ["a header without a name", get(": x"), noRequest],
  ["a header with a line of its own", get("x: y", " folded"), noRequest],
  ["a zero byte in a header", get("x: \u0000"), noRequest],
  ["two lengths", post("content-length: 2", "content-length: 3", "", "{}"), noRequest],
  [
    "a length and chunks",
    post("content-length: 5", "transfer-encoding: chunked", "", "0\r\n\r\nGET / HTTP/1.1"),
    noRequest
  ],
  ["chunks in an unknown coding", post("transfer-encoding: cow", "", "{}"), noRequest],
  ["a length below zero", post("content-length: -1", "", "{}"), noRequest],
  ["a chunk whose size is no number", post("transfer-encoding: chunked", "", "zz\r\n{}\r\n"), noRequest],
  [
    "chunks with extensions without an end",
    post("transfer-encoding: chunked", "", `1;${"x".repeat(40_000)}`),
    unreadable(413, "the chunks are too long")
  ],
  ["a protocol of another kind", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", noRequest],
  ["the beginning of TLS", "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\r\n\r\n", noRequest],
  [
    "a body whose length header is too large",
    post("connection: close", "content-length: 100000000", "", "{"),
    unreadable(413, "Request body is too large")
  ],
  [
    "a body that is too long without a length header",
    post("connection: close", "transfer-encoding: chunked", "", `fffff\r\n${"x".repeat(0xfffff)}\r\n`),
    unreadable(413, "Request body is too large")
  ],
  [
    "a body with an unsupported encoding",
    post("connection: close", "content-length: 2", "", "{}").replace("application/json", "application/gzip"),
    unreadable(415, "Unsupported Media Type")
  ]
]

const event = (payload: unknown) => `42${JSON.stringify(["session-alive", payload])}`

const deep = (levels: number) => `42["message",${"[".repeat(levels)}${"]".repeat(levels)}]`

/** A binary event: its head, and the number of attachments that it announces. */
const binary = (count: string | number) => `45${count}-["message",{"_placeholder":true,"num":0}]`

const frames: Readonly<Record<string, ReadonlyArray<Uint8Array>>> = {
  "a message that is too large": [RawClient.frame(event("x".repeat(9_000_000)))],
  "a message whose length field is too large": [RawClient.frame("42", { claimedLength: 2n ** 40n })],
  "a length that no number holds": [RawClient.frame("42", { claimedLength: 2n ** 63n })],
  "a message in parts without an end": [
    RawClient.frame(`42["message","`, { isFinal: false }),
    ...Array.from({ length: 200 }, () => RawClient.frame("x".repeat(50_000), { opcode: 0, isFinal: false }))
  ],
  "a frame without a mask": [RawClient.frame("42[]", { isMasked: false })],
  "reserved bits, as if it were packed": [RawClient.frame("42[]", { reserved: 4 })],
  "an unknown opcode": [RawClient.frame("42[]", { opcode: 11 })],
  "a part without a beginning": [RawClient.frame("42[]", { opcode: 0 })],
  "a ping that is too large": [RawClient.frame("x".repeat(126), { opcode: 9 })],
  "text that is no UTF-8": [RawClient.frame(Uint8Array.from([0x34, 0x32, 0xff, 0xfe]))],
  "an unannounced attachment": [RawClient.frame("bytes", { opcode: 2 })],
  "attachments without a number": [RawClient.frame(binary(""))],
  "attachments without an end": [RawClient.frame(binary("999999999999"))],
  "one attachment more than there may be": [RawClient.frame(binary(11))],
  "fewer attachments than there are": [
    RawClient.frame(binary(1)),
    RawClient.frame("a", { opcode: 2 }),
    RawClient.frame("b", { opcode: 2 })
  ],
  "text where an attachment was announced": [RawClient.frame(binary(2)), RawClient.frame(event({}))],
  "a placeholder of no attachment": [
    RawClient.frame(`451-["message",{"_placeholder":true,"num":-1}]`),
    RawClient.frame("a", { opcode: 2 })
  ],
  "a packet of no kind": [RawClient.frame("49[]")],
  "an event without a name": [RawClient.frame("42[]")],
  "an event that is no list": [RawClient.frame(`42{"0":"ping"}`)],
  "an event whose name is reserved": [RawClient.frame(`42["disconnect"]`)],
  "an event that is cut": [RawClient.frame(`42["ping"`)],
  "an unknown packet type of engine.io": [RawClient.frame("z")],
  "a ping in the wrong direction": [RawClient.frame("2probe")],
  "a second handshake with something else": [RawClient.frame("40[1,2]")]
}

/** They may go on: only their content is invalid. */
const harmless: Readonly<Record<string, ReadonlyArray<Uint8Array>>> = {
  "an event that is deep": [RawClient.frame(deep(2000))],
  "an event that is deeper than anything can be encoded": [RawClient.frame(deep(200_000))],
  "an unrequested ack": [RawClient.frame("43999[1]")],
  "ten attachments, as many as there may be": [
    RawClient.frame(
      `4510-["message",${Array.from({ length: 10 }, (_, num) => `{"_placeholder":true,"num":${num}}`).join()}]`
    ),
    ...Array.from({ length: 10 }, () => RawClient.frame("a".repeat(1000), { opcode: 2 }))
  ],
  "keys that every object has": [
    RawClient.frame(`42["message",{"__proto__":{"sid":"x"},"constructor":1,"toString":null}]`)
  ],
  "unrequested pongs": [RawClient.frame("3"), RawClient.frame("x", { opcode: 10 })]
}

const opened = Effect.gen(function* () {
  const server = yield* BuiltServer.BuiltServer
  return { server, device: yield* Device.login(server.url, Client.make()) }
})

layer(BuiltServer.layer(environment), { excludeTestServices: true, timeout: "60 seconds" })("bytes", (it) => {
  it.scoped(
    "that are no request, or too many, are answered from the table and closed",
    () =>
      Effect.gen(function* () {
        const { device, server } = yield* opened
        yield* Bystander.during(
          server,
          device,
          Effect.forEach(requests, ([what, bytes, answer]) =>
            Effect.map(RawClient.talk(server.url, bytes), (reply) =>
              assert.deepStrictEqual([reply.status, reply.body], [...answer], what)
            )
          )
        )
      }),
    30_000
  )

  it.scoped("of a body that is refused for its size may be sent to the end, and the connection goes on", () =>
    Effect.gen(function* () {
      const { device, server } = yield* opened
      for (const authorization of ["x: y", `authorization: Bearer ${device.token}`]) {
        const client = yield* RawClient.connect(server.url)
        client.write(post(authorization, "content-length: 2000000", "", "{"))
        yield* client.until("Request body is too large")
        client.write("x".repeat(1_999_999))
        client.write(get())
        yield* client.until("200 OK")
      }
    })
  )

  it.scoped("that ask for another protocol or another path get none", () =>
    Effect.gen(function* () {
      const { device, server } = yield* opened
      yield* Bystander.during(
        server,
        device,
        Effect.forEach(["/", "/v1/updatesX", "/v1/machines"], (path) =>
          Effect.map(RawClient.talk(server.url, RawClient.upgrade(path, "connection: close\r\n")), ({ status }) =>
            assert.notStrictEqual(status, 101, path)
          )
        )
      )
    })
  )

  it.scoped(
    "that are no frame or no packet close their own socket, and no other",
    () =>
      Effect.gen(function* () {
        const { device, server } = yield* opened
        yield* Bystander.during(
          server,
          device,
          Effect.forEach(
            Object.entries(frames),
            ([what, bytes]) =>
              Effect.gen(function* () {
                const client = yield* RawClient.websocket(server.url, device.token)
                for (const frame of bytes) client.write(frame)
                const reply = yield* client.closed
                assert.strictEqual(reply.status, 101, what)
                assert.isBelow(reply.millis, 10_000, what)
              }).pipe(
                Effect.scoped,
                Effect.timeoutFail({ duration: "15 seconds", onTimeout: () => new Error(`still open: ${what}`) }),
                Effect.orDie
              ),
            { concurrency: 4 }
          )
        )
      }),
    60_000
  )

  it.scoped(
    "that are odd and no more leave their socket open",
    () =>
      Effect.gen(function* () {
        const { device, server } = yield* opened
        yield* Bystander.during(
          server,
          device,
          Effect.forEach(Object.entries(harmless), ([what, bytes]) =>
            Effect.gen(function* () {
              const client = yield* RawClient.websocket(server.url, device.token)
              for (const frame of bytes) client.write(frame)
              client.write(RawClient.frame(`427["ping"]`))
              yield* client.until("437[{}]")
            }).pipe(
              Effect.scoped,
              Effect.catchAllDefect((defect) => Effect.die(new Error(`${what}: ${String(defect)}`)))
            )
          )
        )
      }),
    30_000
  )

  it.scoped(
    "that promise more than they bring cost no memory, however many do so",
    () =>
      Effect.gen(function* () {
        const { device, server } = yield* opened
        const bomb = Effect.gen(function* () {
          const client = yield* RawClient.websocket(server.url, device.token)
          client.write(RawClient.frame(binary(10)))
          // All but the last: what has come is kept until then.
          for (let count = 0; count < 9; count++) client.write(RawClient.frame("x".repeat(90_000), { opcode: 2 }))
          client.write(RawClient.frame("x", { opcode: 2, claimedLength: 9_000_000n }))
          yield* client.closed
        }).pipe(Effect.scoped)
        yield* Bystander.during(server, device, Effect.replicateEffect(bomb, 200, { concurrency: 8 }))
      }),
    60_000
  )

  it.scoped("that poll and make no sense are refused in one of the forms of socket.io", () =>
    Effect.gen(function* () {
      const { device, server } = yield* opened
      const path = "/v1/updates/?EIO=4&transport=polling"
      const transport = yield* Effect.orDie(Device.request(server.url + path))
      const sid = String(JSON.parse(transport.text.slice(1)).sid)
      yield* Bystander.during(
        server,
        device,
        Effect.gen(function* () {
          for (const [query, body] of [
            [`&sid=${sid}x`, "40"],
            ["&sid=", "40"],
            ["&transport=carrier-pigeon", ""],
            [`&sid=${sid}`, "z".repeat(9_000_000)]
          ] as const) {
            const { status } = yield* Effect.orDie(
              Device.request(server.url + path + query, {
                method: "POST",
                body,
                headers: { "content-type": "text/plain" }
              })
            )
            assert.oneOf(status, [400, 413], query)
          }
        })
      )
    })
  )
})
