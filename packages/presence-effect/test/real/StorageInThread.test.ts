/**
 * Goal: the storage keeps its contract with the writer in a thread.
 * Method: `npm test` runs the contract with the writer in the process, and the contract of a connection with the
 * thread. Here is both at once, and each case starts two threads.
 */
import { describe, it } from "@effect/vitest"
import * as SqliteThread from "../../src/node/SqliteThread.ts"
import * as PresenceStorageContract from "../../src/testing/PresenceStorageContract.ts"
import { makeFileWorld } from "../support/storageFile.ts"

PresenceStorageContract.suite({ describe, it }, "SQLite, writer in a thread", makeFileWorld(SqliteThread.layer))
