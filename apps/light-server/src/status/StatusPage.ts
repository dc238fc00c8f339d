/** The status page of the operator: its routes, its feed, and what it remembers. */
import { Layer } from "effect"
import type { Audience, OperatorAccess } from "../door/OperatorAccess.ts"
import * as StatusFeed from "./StatusFeed.ts"
import * as StatusHistory from "./StatusHistory.ts"
import * as StatusRoutes from "./StatusRoutes.ts"
import * as StatusSnapshot from "./StatusSnapshot.ts"

export interface Options extends StatusSnapshot.Options {
  readonly access: OperatorAccess
  readonly audience: Audience
}

/** Nothing at all where the page is off. */
export const layer = (options: Options) =>
  options.audience === "off"
    ? Layer.empty
    : Layer.merge(
        StatusRoutes.layer({ ...options, isSecure: options.publicUrl?.startsWith("https:") === true }),
        StatusFeed.layer((request) => options.access.decide(request, options.audience)).pipe(
          Layer.provide(StatusSnapshot.layer(options)),
          Layer.provide(StatusHistory.layer)
        )
      )
