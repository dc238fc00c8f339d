/**
 * Goal: whatever devices and an agent of one account do at the same time, and
 * whenever they are disconnected, in the end each of them has the state of the
 * server. Method: commands of fast-check against the real writer on a real
 * file. Each command is what all three do at once; the model is the answers
 * they received. A failure is shrunk and prints the `CONVERGENCE_REPLAY` that
 * repeats it. Concurrent requests may be served in another order the next time,
 * so a replay may pass.
 */
import { assert, layer } from "@effect/vitest"
import { Cause, Effect, FastCheck as fc, Layer, Logger, LogLevel, Runtime } from "effect"
import * as FileDatabase from "../support/FileDatabase.ts"
import * as PresenceProbe from "../support/PresenceProbe.ts"
import { layerOver, type TestServer } from "../support/TestServer.ts"
import * as Operation from "./Operation.ts"
import * as AccountDevices from "./AccountDevices.ts"

/** `seed path commands`, as a failure prints them. */
const [givenSeed, path, replayPath] = (process.env["CONVERGENCE_REPLAY"] ?? "").split(" ")

const seed = Number(givenSeed === undefined || givenSeed === "" ? (process.env["TEST_SEED"] ?? 1) : givenSeed)

const maxBatches = 60

type Perform = (effect: Effect.Effect<void, never, TestServer | FileDatabase.FileDatabase>) => Promise<void>

type Operations = readonly [
  steady: Operation.Operation | null,
  moving: Operation.Operation | null,
  agent: Operation.Operation | null
]

const names = ["steady", "moving", "agent"] as const

/** The operation of each of them, all at once. */
class Batch implements fc.AsyncCommand<AccountDevices.Promises, AccountDevices.AccountDevices> {
  private readonly operations: Operations
  private readonly perform: Perform
  constructor(operations: Operations, perform: Perform) {
    this.operations = operations
    this.perform = perform
  }
  check(promises: AccountDevices.Promises): boolean {
    return this.possible(promises).length > 0
  }
  run(promises: AccountDevices.Promises, accountDevices: AccountDevices.AccountDevices): Promise<void> {
    const scene = { accountDevices, promises }
    const done = this.possible(promises).map(([name, operation]) =>
      name === "agent"
        ? Operation.byAgent(scene, operation)
        : Operation.byDevice(scene, operation, accountDevices[name])
    )
    return this.perform(Effect.all(done, { concurrency: "unbounded", discard: true }))
  }
  toString(): string {
    return this.named.map(([name, operation]) => `${name} ${Operation.describe(operation)}`).join(" | ")
  }
  private get named() {
    return names.flatMap((name, index) => {
      const operation = this.operations[index]
      return operation === null || operation === undefined ? [] : [[name, operation] as const]
    })
  }
  private possible(promises: AccountDevices.Promises) {
    return this.named.filter(([name, operation]) => Operation.isPossible(operation, name, promises))
  }
}

const batches = (perform: Perform) =>
  fc.commands(
    [
      fc
        .tuple(fc.option(Operation.steadily), fc.option(Operation.moving), fc.option(Operation.agents))
        .map((operations) => new Batch(operations, perform))
    ],
    { maxCommands: maxBatches, size: "max", ...(replayPath === undefined ? {} : { replayPath }) }
  )

/** One life of an account, from its first session to the comparison of all copies. */
const live = (commands: Iterable<fc.AsyncCommand<AccountDevices.Promises, AccountDevices.AccountDevices>>) =>
  Effect.gen(function* () {
    const accountDevices = yield* AccountDevices.make
    const promises = AccountDevices.noPromises()
    yield* Effect.promise(() => fc.asyncModelRun(() => ({ model: promises, real: accountDevices }), commands))
    yield* AccountDevices.checkAll(accountDevices, promises)
  }).pipe(
    Effect.scoped,
    Effect.timeoutFailCause({
      duration: "10 seconds",
      onTimeout: () => Cause.die(new Error("a client waits for ever"))
    })
  )

type Details = fc.RunDetails<[Iterable<fc.AsyncCommand<AccountDevices.Promises, AccountDevices.AccountDevices>>]>

/** A failure as text: what was done, line by line, why that is wrong, and how to repeat it. */
const story = ({ counterexample, counterexamplePath, errorInstance, numShrinks, seed }: Details) => {
  const [commands] = counterexample ?? []
  const [, steps = "", replay = ""] = /^(.*?)(?: \/\*replayPath="(.*)"\*\/)?$/s.exec(String(commands)) ?? []
  return [
    `After ${numShrinks} shrinks these batches are left:`,
    ...steps.split(",").map((step) => `  ${step}`),
    String(errorInstance).split("\n    at ")[0],
    `CONVERGENCE_REPLAY="${seed} ${counterexamplePath} ${replay}" repeats them.`
  ].join("\n")
}

/** Without its log line about each refused request, so that a failure can be read. */
const server = layerOver(Layer.merge(FileDatabase.layer, PresenceProbe.layer)).pipe(
  Layer.provide(Logger.minimumLogLevel(LogLevel.Error))
)

layer(server, { excludeTestServices: true })("replicas of an account", (it) => {
  it.effect(
    `converge to what the server has (seed ${seed})`,
    () =>
      Effect.gen(function* () {
        const perform = Runtime.runPromise(yield* Effect.runtime<TestServer | FileDatabase.FileDatabase>())
        const property = fc.asyncProperty(batches(perform), (commands) => perform(live(commands)))
        const details = yield* Effect.promise(async () =>
          fc.check(property, {
            seed,
            numRuns: 10,
            interruptAfterTimeLimit: 40_000,
            ...(path === undefined ? {} : { path, endOnFailure: true })
          })
        )
        if (details.failed) assert.fail(story(details))
      }),
    60_000
  )
})
