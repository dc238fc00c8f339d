/**
 * Arithmetic on edwards25519, RFC 8032: only to create signatures and keys that
 * a correct signer never creates. Slow, and never used with a real secret.
 */
import { createHash } from "node:crypto"

export interface Point {
  readonly x: bigint
  readonly y: bigint
}

export const mod = (value: bigint, modulus: bigint) => ((value % modulus) + modulus) % modulus

const power = (base: bigint, exponent: bigint, modulus: bigint): bigint => {
  let result = 1n
  for (let square = mod(base, modulus), left = exponent; left > 0n; left >>= 1n) {
    if ((left & 1n) === 1n) result = mod(result * square, modulus)
    square = mod(square * square, modulus)
  }
  return result
}

/** The field. */
export const prime = 2n ** 255n - 19n

/** Of the base point. */
export const order = 2n ** 252n + 27742317777372353535851937790883648493n

const inverse = (value: bigint) => power(value, prime - 2n, prime)
const d = mod(-121665n * inverse(121666n), prime)
const rootOfMinusOne = power(2n, (prime - 1n) / 4n, prime)

export const identity: Point = { x: 0n, y: 1n }

/** With a common denominator, so that only the end of a sum divides. */
interface Scaled extends Point {
  readonly z: bigint
}

const addScaled = (left: Scaled, right: Scaled): Scaled => {
  const z = mod(left.z * right.z, prime)
  const [xx, yy] = [mod(left.x * right.x, prime), mod(left.y * right.y, prime)]
  const product = mod(d * xx * yy, prime)
  const square = mod(z * z, prime)
  const [minus, plus] = [square - product, square + product]
  return {
    x: mod(z * minus * (left.x * right.y + left.y * right.x), prime),
    y: mod(z * plus * (yy + xx), prime),
    z: mod(minus * plus, prime)
  }
}

const scaled = (point: Point): Scaled => ({ ...point, z: 1n })

const divided = ({ x, y, z }: Scaled): Point => {
  const inverted = inverse(z)
  return { x: mod(x * inverted, prime), y: mod(y * inverted, prime) }
}

export const add = (left: Point, right: Point): Point => divided(addScaled(scaled(left), scaled(right)))

export const multiply = (point: Point, scalar: bigint): Point => {
  let result = scaled(identity)
  for (let square = scaled(point), left = scalar; left > 0n; left >>= 1n) {
    if ((left & 1n) === 1n) result = addScaled(result, square)
    square = addScaled(square, square)
  }
  return divided(result)
}

export const negate = ({ x, y }: Point): Point => ({ x: mod(-x, prime), y })

/** The point with this `y` whose `x` is even, if the curve has one. */
export const pointAt = (y: bigint): Point | undefined => {
  const square = mod((y * y - 1n) * inverse(d * y * y + 1n), prime)
  const candidate = power(square, (prime + 3n) / 8n, prime)
  const x = [candidate, mod(candidate * rootOfMinusOne, prime)].find((root) => mod(root * root, prime) === square)
  if (x === undefined) return undefined
  return { x: (x & 1n) === 0n ? x : prime - x, y: mod(y, prime) }
}

const basePoint = pointAt(mod(4n * inverse(5n), prime))
if (basePoint === undefined) throw new Error("the base point is not on the curve")

export const base: Point = basePoint

export const littleEndian = (value: bigint): Uint8Array =>
  Uint8Array.from({ length: 32 }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn))

export const fromLittleEndian = (bytes: Uint8Array): bigint =>
  bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n)

/** `y` as it is, also beyond the field, and the sign of `x`. */
export const encodeAs = (y: bigint, sign: bigint): Uint8Array => littleEndian(y | (sign << 255n))

export const encode = ({ x, y }: Point): Uint8Array => encodeAs(y, x & 1n)

/** The eight points that eight times are the identity: multiples of one of order 8. */
export const smallPoints: ReadonlyArray<Point> = (() => {
  for (let y = 2n; ; y++) {
    const point = pointAt(y)
    if (point === undefined) continue
    const eighth = multiply(point, order)
    if (multiply(eighth, 4n).y !== 1n) return Array.from({ length: 8 }, (_, index) => multiply(eighth, BigInt(index)))
  }
})()

/** What a signature is checked with: the hash of its point, the key and the message. */
export const challengeOf = (pointBytes: Uint8Array, publicKey: Uint8Array, message: Uint8Array): bigint =>
  mod(fromLittleEndian(createHash("sha512").update(pointBytes).update(publicKey).update(message).digest()), order)

export const signatureOf = (pointBytes: Uint8Array, scalar: bigint): Uint8Array =>
  Uint8Array.from([...pointBytes, ...littleEndian(scalar)])
