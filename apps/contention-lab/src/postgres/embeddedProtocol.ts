/** The messages between `EmbeddedServer` and the process of its server. The end of the channel ends that process. */

export interface ToEmbedded {
  /** Empty, and reachable for every user. */
  readonly directory: string
}

export type FromEmbedded =
  | { readonly _tag: "Started"; readonly url: string }
  | { readonly _tag: "Failed"; readonly detail: string }
