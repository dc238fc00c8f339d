/**
 * Tokens that are wrong in one point only, signed with the key of the server
 * wherever the point is not the signature.
 */
import { SignJWT, UnsecuredJWT } from "jose"
import { createPublicKey, generateKeyPairSync, hkdfSync, type KeyObject } from "node:crypto"
import fs from "node:fs"
import path from "node:path"
import * as Ed25519 from "light-server/src/accounts/Ed25519"
import { secretFile } from "light-server/src/opening/DataDirectory"
import type { Server } from "../../src/drivers/BuiltServer.ts"

/** The key that the server signs with, as it derives it from the secret in its directory. */
export const signingKey = (server: Server): KeyObject => {
  const secret = fs.readFileSync(path.join(server.directory, secretFile), "utf8").trim()
  return Ed25519.privateKeyOf(new Uint8Array(hkdfSync("sha256", secret, "", "light-server token signing key v1", 32)))
}

const goodHeader = { alg: "EdDSA", typ: "JWT" }

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")

const hours = (count: number) => new Date(Date.now() + count * 3_600_000)

interface Flaw {
  readonly change?: (token: SignJWT) => SignJWT
  readonly header?: { readonly alg: string; readonly [field: string]: unknown }
  readonly claims?: Readonly<Record<string, unknown>>
}

/** A good one, except for the flaw. */
export const make = (
  key: KeyObject | Uint8Array,
  accountId: string | undefined,
  { change = (token) => token, claims = {}, header = goodHeader }: Flaw = {}
): Promise<string> => {
  const token = new SignJWT(claims).setIssuer("happier-light").setAudience("happier-client").setIssuedAt()
  if (accountId !== undefined) token.setSubject(accountId)
  return change(token.setProtectedHeader(header)).sign(key)
}

/** Still good: the clock of a box may be a day off. */
export const tolerated = async (key: KeyObject, accountId: string): Promise<Readonly<Record<string, string>>> => ({
  "not valid for 23 hours": await make(key, accountId, { change: (token) => token.setNotBefore(hours(23)) }),
  "expired 23 hours ago": await make(key, accountId, { change: (token) => token.setExpirationTime(hours(-23)) })
})

/** Signed with public data, as a shared secret. */
const byKnownText = async (key: KeyObject, accountId: string): Promise<Readonly<Record<string, string>>> => {
  const publicKey = createPublicKey(key)
  const known = {
    "as DER": publicKey.export({ format: "der", type: "spki" }),
    "as PEM": Buffer.from(publicKey.export({ format: "pem", type: "spki" })),
    "as its 32 bytes": Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url")
  }
  const entries = Object.entries(known).flatMap(([form, secret]) =>
    ["HS256", "HS384", "HS512"].map(async (alg) => {
      const token = await make(secret, accountId, { header: { alg, typ: "JWT" } })
      return [`${alg} with the public key ${form}`, token] as const
    })
  )
  return Object.fromEntries(await Promise.all(entries))
}

const withWrongHeader = async (key: KeyObject, accountId: string) => {
  const stranger = generateKeyPairSync("ed25519")
  const jwk = stranger.publicKey.export({ format: "jwk" })
  const as = (more: object, by: KeyObject = key) => make(by, accountId, { header: { ...goodHeader, ...more } })
  return {
    "of another type": await as({ typ: "dpop+jwt" }),
    "without a type": await make(key, accountId, { header: { alg: "EdDSA" } }),
    "under another name of the algorithm": await as({ alg: "Ed25519" }),
    "of another server": await as({}, stranger.privateKey),
    "that brings its own key": await as({ jwk }, stranger.privateKey),
    "with the URL of its key": await as({ jku: "http://127.0.0.1:1/", kid: "../../etc/passwd" }, stranger.privateKey)
  }
}

/** Each is refused, and named after the one point that is wrong. */
export const all = async (
  key: KeyObject,
  { accountId, other, token }: { readonly accountId: string; readonly token: string; readonly other: string }
): Promise<Readonly<Record<string, string>>> => {
  const [head = "", payload = "", signature = ""] = token.split(".")
  const [otherHead = "", otherPayload = "", otherSignature = ""] = other.split(".")
  const unsecured = new UnsecuredJWT().setSubject(accountId).setIssuer("happier-light").setAudience("happier-client")
  return {
    ...(await byKnownText(key, accountId)),
    ...(await withWrongHeader(key, accountId)),
    "expired 25 hours ago": await make(key, accountId, { change: (token) => token.setExpirationTime(hours(-25)) }),
    "not valid for 25 hours": await make(key, accountId, { change: (token) => token.setNotBefore(hours(25)) }),
    "of another issuer": await make(key, accountId, { change: (token) => token.setIssuer("handy") }),
    "for another audience": await make(key, accountId, { change: (token) => token.setAudience("happier-light") }),
    "of no account": await make(key, "cnobody"),
    "without an account": await make(key, undefined),
    "with an epoch that is no number": await make(key, accountId, { claims: { epoch: "1" } }),
    "with alg none": unsecured.setIssuedAt().encode(),
    "with alg None, signed": `${part({ ...goodHeader, alg: "None" })}.${payload}.${signature}`,
    "with the claims of another": `${head}.${otherPayload}.${signature}`,
    "with the signature of another": `${head}.${payload}.${otherSignature}`,
    "with the head doubled": `${otherHead}.${head}.${payload}.${signature}`,
    "without its last character": token.slice(0, -1),
    "without its signature": `${head}.${payload}.`,
    "without its claims": `${head}..${signature}`,
    "in two parts": `${head}.${payload}`,
    "with another case of letters": token.toUpperCase(),
    "that is too long": `${token}${"a".repeat(2500)}`,
    "that is only dots": ".."
  }
}
