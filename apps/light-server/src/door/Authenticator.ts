/** Which account a token belongs to. */
import { Context, type Effect } from "effect"
import type { ReadFailed } from "../database/DatabaseReader.ts"
import type { AccountDisabled, Unauthorized } from "../Failure.ts"

export class Authenticator extends Context.Tag("light-server/Authenticator")<
  Authenticator,
  {
    /** The id of the account, which existed at the last check. `client`: the `User-Agent` of the request. */
    readonly verify: (
      token: string,
      client?: string
    ) => Effect.Effect<string, Unauthorized | AccountDisabled | ReadFailed>
  }
>() {}
