/** Which replicas announce themselves. */

export interface LiveReplicas {
  /** An announcement has arrived. `true`: the replica is new. */
  readonly heard: (name: string, nowMillis: number) => boolean
  /** The replica has ended. `true`: it was known. */
  readonly leave: (name: string) => boolean
  /** Removes and returns the replicas that announce nothing any more. Called all the time. */
  readonly expire: (nowMillis: number) => ReadonlyArray<string>
  readonly names: () => ReadonlyArray<string>
}

/** Two announcements may be late or lost. With the time between two checks this is below a second. */
export const silenceMillis = 700

/** A check that comes later than this says that this process stood still, not that the others did. */
const lateMillis = 300

export const make = (): LiveReplicas => {
  const heardAt = new Map<string, number>()
  let checkedAt: number | undefined
  let names: ReadonlyArray<string> = []
  const update = () => {
    names = [...heardAt.keys()]
  }
  return {
    heard: (name, nowMillis) => {
      const isNew = !heardAt.has(name)
      heardAt.set(name, nowMillis)
      if (isNew) update()
      return isNew
    },
    leave: (name) => {
      const isKnown = heardAt.delete(name)
      if (isKnown) update()
      return isKnown
    },
    expire: (nowMillis) => {
      const stood = checkedAt === undefined ? 0 : nowMillis - checkedAt
      checkedAt = nowMillis
      if (stood > lateMillis || stood < 0) {
        for (const name of heardAt.keys()) heardAt.set(name, nowMillis)
        return []
      }
      const gone = [...heardAt].flatMap(([name, at]) => (nowMillis - at >= silenceMillis ? [name] : []))
      for (const name of gone) heardAt.delete(name)
      if (gone.length > 0) update()
      return gone
    },
    names: () => names
  }
}
