/** Values as text. Nothing here touches the page. */

/** Whole seconds, minutes, hours or days. */
export const ageText = (millis) => {
  const seconds = Math.max(0, Math.floor(millis / 1000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / 86_400)} days`
}

export const millisText = (millis) => {
  if (millis === undefined) return "–"
  if (millis >= 1000) return `${(millis / 1000).toFixed(1)} s`
  return millis >= 10 ? `${Math.round(millis)} ms` : `${millis} ms`
}

export const bytesText = (bytes) => {
  if (bytes === undefined) return "–"
  const units = ["B", "KB", "MB", "GB", "TB"]
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

const badges = { connected: "connected", online: "online", offline: "offline" }

const order = ["connected", "online", "offline"]

/** Connected rows first, then those that were seen last. */
export const sortedRows = (rows) =>
  Object.entries(rows ?? {}).toSorted(
    ([oneName, one], [otherName, other]) =>
      order.indexOf(one.badge) - order.indexOf(other.badge) ||
      (other.seenAt ?? 0) - (one.seenAt ?? 0) ||
      (oneName < otherName ? -1 : 1)
  )

export const rowCells = (row, nowMillis) => ({
  badge: badges[row.badge] ?? row.badge,
  id: row.id,
  account: row.account,
  seen: row.badge === "connected" ? "now" : `${ageText(nowMillis - row.seenAt)} ago`
})

export const countText = (rows, total) => {
  const all = Object.values(rows ?? {})
  const online = all.filter(({ badge }) => badge !== "offline").length
  const cut = total > all.length ? `, the last ${all.length} are shown` : ""
  return total === 0 ? "" : `${online} online of ${total ?? all.length}${cut}`
}

export const factsText = ({ counts, process, server }, nowMillis) =>
  [
    `version ${server.version}`,
    `up for ${ageText(nowMillis - server.startedAt)}`,
    `process ${server.pid} on Node ${server.node}`,
    `${counts.apps} ${counts.apps === 1 ? "app" : "apps"} connected`,
    `${process.rssMegabytes} MB of memory`,
    ...(server.url === undefined ? [] : [`for clients: ${server.url}`]),
    server.databaseFile
  ].join(" · ")

export const writerText = ({ writer }, nowMillis) => {
  const parts = []
  if (writer.lastFailure !== undefined) {
    const { at, code } = writer.lastFailure
    parts.push(`The last write failed ${ageText(nowMillis - at)} ago (${code}), and none was committed since.`)
  } else if (writer.lastCommitAt !== undefined) {
    parts.push(`Last commit ${ageText(nowMillis - writer.lastCommitAt)} ago.`)
  }
  if (writer.holder !== undefined && nowMillis - writer.holder.since > 1000) {
    parts.push(`Lane ${writer.holder.lane} has held the database for ${ageText(nowMillis - writer.holder.since)}.`)
  }
  return parts.join(" ")
}

/** The heads of the columns, for screens that have no room for a table. */
export const laneLabels = ["waiting", "limit", "oldest wait", "wait, 99 %", "hold, median", "hold, 99 %"]

export const laneCells = (lane) => [
  lane.waiting,
  lane.limit,
  lane.waiting === 0 ? "–" : millisText(lane.oldestWait),
  millisText(lane.wait.p99),
  millisText(lane.hold.median),
  millisText(lane.hold.p99)
]

export const ticksText = (ticks, nowMillis) => {
  const last = ticks.at(-1)
  if (last === undefined) return "No tick has written anything yet."
  const failed = ticks.filter(({ ok }) => !ok).length
  const slowest = Math.max(...ticks.map(({ millis }) => millis))
  return (
    `The last tick wrote ${last.rows} ${last.rows === 1 ? "row" : "rows"} in ${millisText(last.millis)}, ` +
    `${ageText(nowMillis - last.at)} ago. Of the last ${ticks.length}, the slowest took ${millisText(slowest)} and ` +
    `${failed} failed.`
  )
}

/** The last backup that was verified, and an attempt that has failed since. */
export const backupText = ({ at, bytes, failedAt, isGone }, nowMillis) => {
  const made =
    at === undefined
      ? "never"
      : `${ageText(nowMillis - at)} ago, ${bytesText(bytes)}, ${isGone ? "its file is gone" : "verified"}`
  return failedAt === undefined ? made : `${made}; an attempt failed ${ageText(nowMillis - failedAt)} ago`
}

export const figures = ({ backup, presence, process, registrations, storage }, nowMillis) => [
  [
    "Registrations of machines, 5 min",
    registrations.count === 0
      ? "none"
      : `${registrations.count}, median ${millisText(registrations.median)}, 99 % ${millisText(registrations.p99)}`
  ],
  ["Registrations that failed, 5 min", String(registrations.failed)],
  ["Rows tracked", `${presence.tracked}, ${presence.pending} not written yet`],
  ["Database", bytesText(storage.databaseBytes)],
  ["Log", bytesText(storage.logBytes)],
  ["Free on the disk", bytesText(storage.diskFreeBytes)],
  ["Last backup", backupText(backup ?? {}, nowMillis)],
  ["Delay of the event loop", `${process.loopDelayMillis} ms`]
]
