/** The page: keeps the newest snapshot and shows it. Plain JavaScript, as a browser reads it. */
import { applyPatch } from "./patch.js"
import { io } from "./socket.io.js"
import * as view from "./view.js"

const byId = (id) => document.getElementById(id)

/** Only changed text is written, so that screen readers and selections are left alone. */
const setText = (node, text) => {
  if (node.textContent !== String(text)) node.textContent = String(text)
}

const setData = (node, name, value) => {
  if (node.dataset[name] !== String(value)) node.dataset[name] = String(value)
}

const element = (tag, className) => {
  const made = document.createElement(tag)
  if (className !== undefined) made.className = className
  return made
}

/** Makes the children of `parent` those of `items`, in order; a child with the same key is kept. */
const reconcile = (parent, items, { make, update }) => {
  const known = new Map(Array.from(parent.children, (child) => [child.dataset.key, child]))
  let before = parent.firstElementChild
  for (const [key, item] of items) {
    let child = known.get(key)
    if (child === undefined) {
      child = make()
      child.dataset.key = key
    }
    known.delete(key)
    if (child === before) before = before.nextElementSibling
    else parent.insertBefore(child, before)
    update(child, item)
  }
  for (const child of known.values()) child.remove()
}

const makeRow = () => {
  const row = element("tr")
  const state = element("td")
  state.append(element("span", "badge"))
  row.append(state, element("td", "id"), element("td", "id account"), element("td", "when"))
  return row
}

const showRows = (name, rows, total, now) => {
  const sorted = view.sortedRows(rows)
  reconcile(byId(name), sorted, {
    make: makeRow,
    update: (line, row) => {
      const cells = view.rowCells(row, now)
      const badge = line.children[0].firstElementChild
      setText(badge, cells.badge)
      setData(badge, "badge", row.badge)
      setText(line.children[1], cells.id)
      line.children[1].title = cells.id
      setText(line.children[2], cells.account)
      line.children[2].title = cells.account
      setText(line.children[3], cells.seen)
    }
  })
  setText(byId(`${name}-count`), view.countText(rows, total))
  byId(`${name}-empty`).hidden = sorted.length > 0
  byId(name).closest(".scroll").hidden = sorted.length === 0
}

const showAdvice = (advice) => {
  byId("advice-section").hidden = advice.length === 0
  reconcile(
    byId("advice"),
    advice.map((one) => [one.code, one]),
    {
      make: () => {
        const item = element("li")
        const text = element("p")
        text.append(element("strong"), " ", element("code"))
        item.append(text, element("p"))
        return item
      },
      update: (item, { action, code, level, text }) => {
        setData(item, "level", level)
        setText(item.querySelector("strong"), text)
        setText(item.querySelector("code"), code)
        setText(item.children[1], action)
      }
    }
  )
}

const showLanes = (lanes) => {
  const sorted = Object.entries(lanes).toSorted(([, one], [, other]) => one.position - other.position)
  reconcile(
    byId("lanes"),
    sorted.map(([name, lane]) => [name, { name, lane }]),
    {
      make: () => {
        const row = element("tr")
        const head = element("th")
        head.scope = "row"
        row.append(
          head,
          ...view.laneLabels.map((label) => {
            const cell = element("td")
            cell.dataset.label = label
            return cell
          })
        )
        return row
      },
      update: (row, { lane, name }) => {
        setText(row.children[0], name)
        view.laneCells(lane).forEach((cell, index) => setText(row.children[index + 1], cell))
      }
    }
  )
}

const svg = (tag) => document.createElementNS("http://www.w3.org/2000/svg", tag)

const ticksMax = 60

const showTicks = (all, now) => {
  const entries = Object.entries(all).toSorted(([one], [other]) => Number(one) - Number(other))
  const ticks = entries.map(([, tick]) => tick)
  setText(byId("ticks-text"), view.ticksText(ticks, now))
  const slowest = Math.max(10, ...ticks.map(({ millis }) => millis))
  const width = 600 / ticksMax
  const first = ticksMax - ticks.length
  reconcile(
    byId("ticks"),
    entries.map(([number, tick], index) => [number, { tick, index }]),
    {
      make: () => svg("rect"),
      update: (bar, { index, tick }) => {
        const height = Math.max(2, (tick.millis / slowest) * 78)
        const place = { x: (first + index) * width + 1, y: 80 - height, width: width - 2, height }
        for (const [name, value] of Object.entries(place)) bar.setAttribute(name, value.toFixed(1))
        setData(bar, "ok", tick.ok)
      }
    }
  )
}

const showFigures = (figures) => {
  const list = byId("figures")
  figures.forEach(([name, value], index) => {
    if (list.children[2 * index] === undefined) list.append(element("dt"), element("dd"))
    setText(list.children[2 * index], name)
    setText(list.children[2 * index + 1], value)
  })
  while (list.children.length > 2 * figures.length) list.lastElementChild.remove()
}

const showChecks = (checks) =>
  reconcile(byId("checks"), Object.entries(checks), {
    make: () => {
      const item = element("li")
      const label = element("span")
      label.append(element("strong"), " ", element("span"))
      item.append(element("span", "badge"), label)
      return item
    },
    update: (item, { detail, ok }) => {
      const [badge, label] = item.children
      setText(badge, ok ? "ok" : "failed")
      setData(badge, "badge", ok ? "ok" : "failed")
      setText(label.children[0], item.dataset.key)
      setText(label.children[1], ok ? "" : detail)
    }
  })

let snapshot
/** The clock of the server minus that of this browser. */
let ahead = 0

const levelOf = ({ isReady, isWell }) => (isReady ? (isWell ? "well" : "warning") : "problem")

const show = () => {
  if (snapshot === undefined) return
  const now = Date.now() + ahead
  setText(byId("line"), snapshot.health.line)
  setData(byId("line"), "level", levelOf(snapshot.health))
  document.title = `${snapshot.health.isWell ? "" : "(!) "}Light server`
  setText(byId("facts"), view.factsText(snapshot, now))
  showAdvice(snapshot.advice)
  showRows("machines", snapshot.machines, snapshot.counts.machines, now)
  showRows("sessions", snapshot.sessions, snapshot.counts.sessions, now)
  setText(byId("writer"), view.writerText(snapshot, now))
  showLanes(snapshot.lanes)
  showTicks(snapshot.ticks, now)
  showFigures(view.figures(snapshot, now))
  showChecks(snapshot.checks)
}

const setLink = (state, text) => {
  setData(byId("link"), "state", state)
  setText(byId("link"), text)
}

const lose = (text) => {
  setLink("lost", "not connected")
  setText(byId("line"), text)
  setData(byId("line"), "level", "lost")
}

const address = new URL(".", location.href)

// Below the same path as this page: `/happier/status` has its socket at `/happier/v1/updates`.
const socket = io(new URL("/status", address).href, {
  path: new URL("v1/updates", address).pathname,
  transports: ["websocket", "polling"],
  reconnectionDelay: 500,
  reconnectionDelayMax: 5000
})

socket.on("status", (message, answer) => {
  ahead = message.at - Date.now()
  snapshot = message.snapshot ?? applyPatch(snapshot, message.patch)
  setLink("live", "live")
  show()
  answer()
})
socket.on("disconnect", () => {
  lose("The connection to the server is lost. What is below is from before.")
  // The server ended it: socket.io leaves coming back to the page.
  if (!socket.active) setTimeout(() => socket.connect(), 5000)
})
socket.on("connect_error", (error) => {
  lose(socket.active ? "The server does not answer." : error.message)
  if (!socket.active) setTimeout(() => socket.connect(), 5000)
})
// Ages grow also while nothing else changes.
setInterval(() => {
  if (socket.connected) show()
}, 1000)
