/** The configuration of the command: of its arguments, the environment and the file. */
import { Effect } from "effect"
import * as ServerConfig from "../config/ServerConfig.ts"
import * as Arguments from "./Arguments.ts"

export const load: Effect.Effect<ServerConfig.Loaded, ServerConfig.ConfigInvalid> = Effect.suspend(() =>
  ServerConfig.loadAll(process.env, Arguments.settings())
)
