/** The process of one question. Started by `main.ts` only, which also ends it and cleans up behind it. */
import { pathToFileURL } from "node:url"
import type { Message, Question } from "./Result.ts"

const send = (message: Message) =>
  new Promise<void>((resolve) => {
    if (process.send === undefined) throw new Error("this process answers to apps/proving/src/bench/main.ts only")
    process.send(message, () => resolve())
  })

// The parent is gone: the whole group ends, servers and clients included.
process.once("disconnect", () => process.kill(-process.pid, "SIGKILL"))

const file = process.argv[2] ?? ""
const { question } = (await import(pathToFileURL(file).href)) as { readonly question: Question }
const sent: Array<Promise<void>> = []
await question((result) => void sent.push(send({ _tag: "Result", result })))
await Promise.all(sent)
await send({ _tag: "Done" })
