/**
 * Loaded into each thread of the server before anything else: SIGUSR2 makes one
 * of them run the order file.
 */
import { readFileSync } from "node:fs"
import { createRequire, syncBuiltinESMExports } from "node:module"
import { performance } from "node:perf_hooks"
import process from "node:process"
import workerThreads, { BroadcastChannel, isMainThread, threadId, Worker } from "node:worker_threads"

const orders = new BroadcastChannel("faults")
orders.unref()
const tellThreads = orders.postMessage.bind(orders)

const stall = (millis) => {
  const end = performance.now() + millis
  while (performance.now() < end);
}

const obeyInMain = () => {
  const threadOf = new Map()
  // In this version of Node, only the code that starts a thread has its name.
  workerThreads.Worker = class extends Worker {
    constructor(entry, options) {
      super(entry, options)
      threadOf.set(options?.name, this.threadId)
    }
  }
  syncBuiltinESMExports()
  process.on("SIGUSR2", () => {
    const order = JSON.parse(readFileSync(process.env.FAULT_ORDER_FILE, "utf8"))
    if (order.thread === undefined) stall(order.millis)
    else tellThreads({ ...order, threadId: threadOf.get(order.thread) })
  })
}

const obeyInThread = () => {
  const connections = new Set()
  const Database = createRequire(process.argv[1])("better-sqlite3")
  const { prepare } = Database.prototype
  Database.prototype.prepare = function (sql) {
    connections.add(this)
    return prepare.call(this, sql)
  }
  const actions = {
    stall: ({ millis }) => stall(millis),
    die: () => {
      setImmediate(() => {
        throw new Error("ordered to die")
      })
    },
    // SQLite takes less than there is for as many as there are.
    cap: ({ pages }) => {
      for (const connection of connections) if (connection.open) connection.pragma(`max_page_count = ${pages || 1}`)
    }
  }
  orders.addEventListener("message", ({ data }) => {
    if (data.threadId === threadId) actions[data.action](data)
  })
}

if (isMainThread) obeyInMain()
else obeyInThread()
