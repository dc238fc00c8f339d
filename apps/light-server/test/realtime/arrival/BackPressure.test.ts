import { assert, describe, it } from "@effect/vitest"
import * as BackPressure from "../../../src/realtime/arrival/BackPressure.ts"

const make = (intakeBytesMax: number, intakeTotalBytesMax: number) => {
  const pressure = BackPressure.make({ intakeBytesMax, intakeTotalBytesMax })
  const log: Array<string> = []
  const socket = (name: string) =>
    pressure.intakeOf({ pause: () => void log.push(`pause ${name}`), resume: () => void log.push(`resume ${name}`) })
  return { log, socket }
}

describe("BackPressure", () => {
  it("stops a socket beyond its bytes, once, and continues it at half of them", () => {
    const { log, socket } = make(100, 10_000)
    const one = socket("one")
    one.add(100)
    assert.deepStrictEqual(log, [])
    one.add(1)
    one.add(50)
    assert.deepStrictEqual(log, ["pause one"])
    one.remove(100)
    assert.deepStrictEqual(log, ["pause one"])
    one.remove(1)
    assert.deepStrictEqual(log, ["pause one", "resume one"])
    one.add(60)
    assert.deepStrictEqual(log, ["pause one", "resume one", "pause one"])
  })

  it("stops whatever still grows beyond the bytes of all, and continues each when nothing of it waits", () => {
    const { log, socket } = make(100, 150)
    const [one, two, three] = [socket("one"), socket("two"), socket("three")]
    one.add(90)
    two.add(61)
    three.add(1)
    assert.deepStrictEqual(log, ["pause two", "pause three"])
    three.remove(1)
    assert.deepStrictEqual(log, ["pause two", "pause three", "resume three"])
    one.remove(90)
    two.remove(61)
    assert.deepStrictEqual(log, ["pause two", "pause three", "resume three", "resume two"])
  })
})
