import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { PassThrough } from "node:stream"
import * as KnobTable from "../../src/config/KnobTable.ts"
import * as ServerConfig from "../../src/config/ServerConfig.ts"
import * as SetupQuestions from "../../src/cli/SetupQuestions.ts"

/** Answers each question as it comes. */
const answered = (given: { readonly [variable: string]: string }, answers: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const [input, output] = [new PassThrough(), new PassThrough()]
    const left = [...answers]
    let shown = ""
    output.on("data", (data) => {
      shown += String(data)
      if (String(data).endsWith("> ")) input.write(`${left.shift() ?? ""}\n`)
    })
    return { settings: yield* SetupQuestions.ask(given, input, output), shown }
  })

describe("SetupQuestions", () => {
  it.effect("asks for what is not given, and takes an empty answer for the default", () =>
    Effect.gen(function* () {
      const { settings, shown } = yield* answered({ PUBLIC_URL: "https://a.example" }, [" loopback ", "", "/mnt/b"])
      assert.deepStrictEqual(settings, {
        PUBLIC_URL: "https://a.example",
        HAPPIER_TRUSTED_PROXIES: "loopback",
        AUTH_ANONYMOUS_SIGNUP_ENABLED: "first-account",
        HAPPIER_BACKUP_DIR: "/mnt/b"
      })
      assert.notInclude(shown, "phones and other machines")
      assert.include(shown, "[first-account]")
    })
  )

  it("asks for settings that there are", () => {
    const known = KnobTable.knobsOf(ServerConfig.rooms).map(({ name }) => name)
    for (const { variable } of SetupQuestions.questions) assert.include(known, variable)
  })
})
