/**
 * A real Prisma client of a few models, without the code that Prisma generates for them.
 *
 * `schema.prisma` and `models.json` lie in one folder. The second is what Prisma makes of the first for its runtime.
 * The rest of what it generates are types, and the few that are needed stand here.
 */
import { getPrismaClient } from "@prisma/client/runtime/client"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"

interface Change {
  readonly where: { readonly id: string; readonly accountId?: string }
  readonly data: { readonly active: boolean; readonly lastActiveAt: Date }
}

interface Model {
  readonly updateMany: (change: Change) => Promise<{ readonly count: number }>
}

export interface PrismaClient {
  readonly session: Model
  readonly machine: Model
  readonly $connect: () => Promise<void>
  readonly $disconnect: () => Promise<void>
  readonly $transaction: (queries: ReadonlyArray<Promise<unknown>>) => Promise<ReadonlyArray<unknown>>
  readonly $executeRawUnsafe: (sql: string, ...params: ReadonlyArray<unknown>) => Promise<number>
  readonly $queryRawUnsafe: (sql: string, ...params: ReadonlyArray<unknown>) => Promise<unknown>
}

type Config = Parameters<typeof getPrismaClient>[0]

/** Neither the libraries that are compiled against nor the types of Node declare it. */
const { WebAssembly } = globalThis as unknown as {
  readonly WebAssembly: { readonly Module: new (bytes: Uint8Array) => object }
}

const compiler = "@prisma/client/runtime/query_compiler_fast_bg.sqlite"

/** The compiler of queries, loaded when the first client connects. */
const compilerWasm: NonNullable<Config["compilerWasm"]> = {
  importName: "./query_compiler_fast_bg.js",
  getRuntime: () => import(`${compiler}.mjs`),
  getQueryCompilerWasmModule: async () => {
    const { wasm } = (await import(`${compiler}.wasm-base64.mjs`)) as { readonly wasm: string }
    return new WebAssembly.Module(Buffer.from(wasm, "base64"))
  }
}

/** Where the lab keeps its models, from the sources and from what is built. */
export const labFolder = (): string =>
  path.dirname(createRequire(import.meta.url).resolve("contention-lab/prisma-client/models.json"))

/** A client of the models in `folder`, over a driver adapter. */
export const make = (folder: string, adapter: unknown): PrismaClient => {
  const read = (name: string) => fs.readFileSync(path.join(folder, name), "utf8")
  const Client = getPrismaClient({
    ...(JSON.parse(read("models.json")) as Pick<
      Config,
      "clientVersion" | "engineVersion" | "runtimeDataModel" | "parameterizationSchema"
    >),
    activeProvider: "sqlite",
    previewFeatures: [],
    inlineSchema: read("schema.prisma"),
    compilerWasm
  }) as unknown as new (options: { readonly adapter: unknown }) => PrismaClient
  return new Client({ adapter })
}
