/** The incident's side: a Prisma client on the file, one `updateMany` per session. */
import { PrismaBetterSqlite3 } from "@prisma/adapter-better-sqlite3"
import * as PrismaClient from "contention-lab/engines/PrismaClient"
import * as path from "node:path"
import type { FlushBatch } from "presence-effect/presence/FlushBatch"

const folder = path.resolve(import.meta.dirname, "../../prisma-client")

export interface PrismaSessions {
  /** Row by row, each waiting for the one before. Answers with the number of rows it wrote. */
  readonly flush: (batch: FlushBatch) => Promise<number>
  readonly close: () => Promise<void>
}

export const open = (filename: string): PrismaSessions => {
  const adapter = new PrismaBetterSqlite3({ url: `file:${filename}` }, { timestampFormat: "unixepoch-ms" })
  const client = PrismaClient.make(folder, adapter)
  return {
    flush: async ({ entries }) => {
      let written = 0
      for (const { accountId = "", id, seenAtMillis } of entries) {
        const { count } = await client.session.updateMany({
          where: { id, accountId },
          data: { lastActiveAt: new Date(seenAtMillis), active: true }
        })
        written += count
      }
      return written
    },
    close: () => client.$disconnect()
  }
}
