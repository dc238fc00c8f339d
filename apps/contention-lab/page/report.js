/* Draws the report from the figures embedded in the page. Plain JavaScript, as a browser reads it. */
;(() => {
  const data = JSON.parse(document.getElementById("data").textContent)
  const { limitMillis, points, report, strategies } = data
  const seconds = report.scenario.seconds

  const element = (tag, attributes = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), attributes)
    made.append(...children)
    return made
  }
  const byId = (id) => document.getElementById(id)

  const millisText = (millis) => {
    if (millis >= 10_000) return `${(millis / 1000).toFixed(0)} s`
    if (millis >= 1000) return `${(millis / 1000).toFixed(1)} s`
    return millis >= 9.95 ? `${millis.toFixed(0)} ms` : `${millis.toFixed(1)} ms`
  }
  const shareText = (share) => (share > 0 && share < 0.01 ? "< 1 %" : `${(share * 100).toFixed(0)} %`)

  /** The same remedy has the same color, wherever its engine is. */
  const colorNumber = (name) => {
    if (name.startsWith("per-row")) return 0
    if (name.startsWith("one-transaction")) return 1
    if (name.startsWith("case-when")) return 2
    return name.includes("one-lane") ? 3 : 4
  }
  const color = (name) => `var(--s${colorNumber(name)})`

  /** Beside the color each remedy has a shape, in a box of 1 by 1, and a dash for lines. */
  const shapes = [
    {
      dash: [],
      corners: [
        [0, 0],
        [1, 0],
        [1, 1],
        [0, 1]
      ]
    },
    {
      dash: [10, 4],
      corners: [
        [0.5, 0],
        [1, 1],
        [0, 1]
      ]
    },
    {
      dash: [3, 3],
      corners: [
        [0.5, 0],
        [1, 0.5],
        [0.5, 1],
        [0, 0.5]
      ]
    },
    {
      dash: [10, 3, 2, 3],
      corners: [
        [0, 0],
        [1, 0],
        [0.5, 1]
      ]
    },
    {
      dash: [16, 4],
      corners: [
        [0.3, 0],
        [0.7, 0],
        [0.7, 0.3],
        [1, 0.3],
        [1, 0.7],
        [0.7, 0.7],
        [0.7, 1],
        [0.3, 1],
        [0.3, 0.7],
        [0, 0.7],
        [0, 0.3],
        [0.3, 0.3]
      ]
    }
  ]
  const shapeOf = (name) => shapes[colorNumber(name)]
  const painted = (variable) => getComputedStyle(document.documentElement).getPropertyValue(variable).trim()

  const isAway = (name) => strategies.find((one) => one.name === name).place === "behind round trips"
  const isServer = report.scenario.database === "postgres"
  const sizes = [...new Set(report.runs.map((run) => run.sessionCount))]
  const seats = [
    { title: "engines behind round trips", holds: isAway },
    {
      title: isServer ? "without an added round trip" : "engines in this process or thread",
      holds: (name) => !isAway(name)
    }
  ]

  /** The shape of a strategy, for the key of a plot. */
  const swatchOf = (name) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg")
    for (const [attribute, value] of [
      ["width", 14],
      ["height", 14],
      ["viewBox", "0 0 1 1"],
      ["aria-hidden", true]
    ]) {
      svg.setAttribute(attribute, String(value))
    }
    const shape = document.createElementNS("http://www.w3.org/2000/svg", "polygon")
    shape.setAttribute(
      "points",
      shapeOf(name)
        .corners.map((corner) => corner.join(","))
        .join(" ")
    )
    shape.style.fill = color(name)
    svg.append(shape)
    return svg
  }

  const keysOf = (names) =>
    element(
      "div",
      { className: "keys" },
      ...names.map((name) =>
        element("span", { className: "key" }, swatchOf(name), element("span", { className: "name" }, name))
      )
    )

  const card = (title, hint, body, names) =>
    byId("plots").append(
      element(
        "div",
        { className: "card" },
        element("h3", {}, title),
        element("p", { className: "hint" }, hint),
        body,
        keysOf(names)
      )
    )

  /* Words */

  const { connections, flushIntervalMillis, roundTripMillis, rows, seed } = report.scenario
  const where = isServer ? `${report.server}, ${connections} connections for each strategy. ` : ""
  byId("setting").textContent =
    `${where}${seconds} s of arrivals in ${report.isVirtual ? "virtual" : "real"} time, seed ${seed}. A tick every ` +
    `${flushIntervalMillis} ms, rows sent ${rows}. Behind round trips a statement takes ${roundTripMillis} ms and ` +
    "its work. " +
    `A daemon gives up after ${limitMillis / 1000} s. Besides the sessions, ${data.machineCount} machines beat.`
  byId("headline").textContent = data.headline
  document.title = `${data.headline} Contention lab`
  byId("caveats").append(...data.caveats.map((caveat) => element("p", { className: "caveat" }, caveat)))
  byId("verdicts").append(
    ...report.runs.map(({ verdict }, index) =>
      element(
        "div",
        { className: "verdict" },
        element("span", { className: `badge ${verdict}` }, verdict),
        element("span", {}, data.sentences[index])
      )
    )
  )

  /* Bars: p50 to p99, and the slowest, on a scale of decades */

  const low = 0.1
  const place = (millis) =>
    `${((Math.log10(Math.max(low, millis)) - Math.log10(low)) / (Math.log10(limitMillis) - Math.log10(low))) * 100}%`
  const decades = [0.1, 1, 10, 100, 1000, 10_000]

  const barOf = ({ registration, strategy }) => {
    const track = element("div", { className: "track", title: `p50 ${millisText(registration.p50Millis)}` })
    const span = element("div", { className: "span" })
    span.style.left = place(registration.p50Millis)
    span.style.right = `calc(100% - ${place(registration.p99Millis ?? registration.maxMillis)})`
    span.style.background = color(strategy)
    const marks = [registration.p50Millis, registration.p99Millis, registration.maxMillis].flatMap((millis) => {
      if (millis === undefined) return []
      const mark = element("div", { className: "mark", title: millisText(millis) })
      mark.style.left = `min(${place(millis)}, calc(100% - 3px))`
      mark.style.background = color(strategy)
      return [mark]
    })
    track.append(span, ...marks)
    return [element("span", { className: "name" }, strategy), track]
  }

  /** Only of a hundred arrivals and more. */
  const hasP99 = (runs) => runs.some(({ registration }) => registration.p99Millis !== undefined)

  const drawBars = (size) => {
    const runs = report.runs.filter((run) => run.sessionCount === size)
    const scale = element(
      "div",
      { className: "scale" },
      ...decades.map((millis) => {
        const label = element("span", {}, millis < 1000 ? `${millis} ms` : `${millis / 1000} s`)
        label.style.left = place(millis)
        return label
      })
    )
    card(
      `How long a machine waits to be registered, ${size} sessions`,
      "From the moment it came. The bar goes from the median to " +
        (hasP99(runs) ? "the 99th percentile, the last mark is the slowest. " : "the slowest. ") +
        "Each step of the scale is ten times the one before.",
      element("div", { className: "bars" }, ...runs.flatMap(barOf), element("span"), scale),
      []
    )
  }

  /* Plots over time */

  const plots = []

  const pointPixels = 8

  /** What uPlot fills: the shape of the series at each of its points. */
  const pointsOf =
    ({ corners }) =>
    (plot, index, from, to) => {
      const size = pointPixels * devicePixelRatio
      const fill = new Path2D()
      const [xs, ys] = [plot.data[0], plot.data[index]]
      for (let at = from; at <= to; at++) {
        if (ys[at] === null || ys[at] === undefined) continue
        const left = plot.valToPos(xs[at], "x", true) - size / 2
        const top = plot.valToPos(ys[at], "y", true) - size / 2
        for (const [corner, [x, y]] of corners.entries()) {
          if (corner === 0) fill.moveTo(left + x * size, top + y * size)
          else fill.lineTo(left + x * size, top + y * size)
        }
        fill.closePath()
      }
      return { fill, stroke: null, clip: null, flags: 1 | 2 }
    }

  const draw = (draft) => {
    const isNarrow = draft.host.clientWidth < 480
    const axis = (label, more) => ({
      label,
      stroke: painted("--soft"),
      grid: { stroke: painted("--grid"), width: 1 },
      ticks: { stroke: painted("--line"), width: 1 },
      labelFont: "13px system-ui, sans-serif",
      font: "12px system-ui, sans-serif",
      ...more
    })
    const limitLine = (plot) => {
      if (draft.limit === undefined) return
      const y = plot.valToPos(draft.limit, "y", true)
      const { left, top, width } = plot.bbox
      if (y < top) return
      plot.ctx.save()
      plot.ctx.strokeStyle = painted("--bad")
      plot.ctx.setLineDash([6, 5])
      plot.ctx.beginPath()
      plot.ctx.moveTo(left, y)
      plot.ctx.lineTo(left + width, y)
      plot.ctx.stroke()
      plot.ctx.fillStyle = painted("--bad")
      plot.ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`
      plot.ctx.textAlign = "left"
      plot.ctx.textBaseline = "bottom"
      plot.ctx.fillText(draft.limitLabel, left + 6 * devicePixelRatio, y - 6 * devicePixelRatio)
      plot.ctx.restore()
    }
    return new uPlot(
      {
        width: draft.host.clientWidth || 1000,
        height: isNarrow ? 260 : 320,
        cursor: { show: false },
        scales: { x: { time: false, ...draft.x }, y: { distr: 3, ...draft.y } },
        axes: [
          axis(draft.xLabel, draft.xAxis),
          // The title of the card says the same, and a phone has no room for both.
          axis(isNarrow ? undefined : draft.yLabel, {
            size: isNarrow ? 56 : 74,
            values: (_, splits) => splits.map((one) => (one === null ? "" : millisText(one)))
          })
        ],
        series: [
          {},
          ...draft.series.map(({ name, points, line }) => ({
            label: name,
            stroke: painted(`--s${colorNumber(name)}`),
            width: line ? 2 : 0,
            dash: shapeOf(name).dash,
            paths: line ? undefined : () => null,
            spanGaps: true,
            points: {
              show: points,
              size: pointPixels,
              fill: painted(`--s${colorNumber(name)}`),
              width: 0,
              paths: pointsOf(shapeOf(name))
            }
          }))
        ],
        hooks: { draw: [limitLine] }
      },
      draft.data,
      draft.host
    )
  }

  const addPlot = (title, hint, draft) => {
    const host = element("div")
    card(
      title,
      hint,
      host,
      draft.series.map(({ name }) => name)
    )
    const whole = { ...draft, host }
    plots.push({ draft: whole, plot: draw(whole) })
  }

  /** One column of moments for all series, and the values of each where it has one. */
  const joined = (columns) => uPlot.join(columns.map((column) => [column.map(([x]) => x), column.map(([, y]) => y)]))

  /** Two points at one moment cannot both be drawn: the later moves by a breath. */
  const inOrder = (column) => {
    let last = -1
    return column.toSorted(([left], [right]) => left - right).map(([x, y]) => [(last = x <= last ? last + 1e-6 : x), y])
  }

  const overTime = (kind, size, seat) => {
    const runs = points.filter(({ sessionCount, strategy }) => sessionCount === size && seat.holds(strategy))
    if (runs.length === 0) return
    const columns = runs.map((run) => inOrder(run[kind].map(([at, took]) => [at / 1000, Math.max(low, took)])))
    const isRegistration = kind === "registrations"
    addPlot(
      isRegistration
        ? `Each machine: when it came, how long it waited. ${size} sessions, ${seat.title}`
        : `Each flush: when its tick came, how long it took. ${size} sessions, ${seat.title}`,
      isRegistration
        ? "A point is one registration. On the dashed line its daemon gave up: it waited 10 s for nothing."
        : "A point is one flush of all changed rows. The engine behind round trips answers with an error after 5 s.",
      {
        data: joined(columns),
        series: runs.map(({ strategy }) => ({ name: strategy, points: true, line: false })),
        x: { range: [0, seconds] },
        y: { range: [low, limitMillis * 2] },
        xLabel: "time of the arrival (s)",
        yLabel: isRegistration ? "wait to be registered" : "duration of the flush",
        limit: isRegistration ? limitMillis : undefined,
        limitLabel: "10 s: the daemon gives up"
      }
    )
  }

  const bySize = (seat) => {
    const shown = strategies.filter(({ name }) => seat.holds(name))
    if (shown.length === 0 || sizes.length < 2) return
    const values = shown.map(({ name }) =>
      sizes.map((size) => {
        const run = report.runs.find((one) => one.strategy === name && one.sessionCount === size)
        return run === undefined ? null : Math.max(low, run.registration.maxMillis)
      })
    )
    addPlot(`The slowest registration by number of sessions, ${seat.title}`, "Both scales are in decades.", {
      data: [sizes, ...values],
      series: shown.map(({ name }) => ({ name, points: true, line: true })),
      x: { distr: 3, range: [Math.min(...sizes) * 0.8, Math.max(...sizes) * 1.25] },
      // On a scale of decades uPlot names nothing but decades.
      xAxis: { splits: () => sizes, filter: (_, splits) => splits, values: (_, splits) => splits.map(String) },
      y: { range: [low, limitMillis * 2] },
      xLabel: "sessions that beat",
      yLabel: "longest wait",
      limit: limitMillis,
      limitLabel: "10 s: the daemon gives up"
    })
  }

  for (const size of sizes) {
    drawBars(size)
    for (const seat of seats) overTime("registrations", size, seat)
    for (const seat of seats) overTime("flushes", size, seat)
  }
  for (const seat of seats) bySize(seat)

  /* The table */

  const cell = (text, isAlarming = false) => element("td", { className: isAlarming ? "alarm" : "" }, text)
  const shownP99 = hasP99(report.runs)
  const columns = [
    ["p50", ({ registration }) => millisText(registration.p50Millis)],
    ...(shownP99
      ? [["p99", ({ registration: { p99Millis } }) => (p99Millis === undefined ? "–" : millisText(p99Millis))]]
      : []),
    ["max", ({ registration }) => millisText(registration.maxMillis)],
    [
      "missed",
      ({ registration }) => `${registration.missedCount}/${registration.count}`,
      ({ registration }) => registration.missedCount > 0
    ],
    ["loop gap", ({ loopGapMaxMillis }) => (loopGapMaxMillis === undefined ? "–" : millisText(loopGapMaxMillis))],
    ["flush p50", ({ flush }) => millisText(flush.p50Millis)],
    ["flush max", ({ flush }) => millisText(flush.maxMillis)],
    [
      "last",
      ({ flush }) => (flush.last === undefined ? "none" : `${flush.last.writtenCount}/${flush.last.rowCount}`),
      ({ flush }) => flush.last?.writtenCount === 0
    ],
    ["empty", ({ flush }) => `${flush.emptyCount}/${flush.count}`, ({ flush }) => flush.emptyCount > 0],
    ["held", ({ heldShare }) => shareText(heldShare)]
  ]
  byId("figures").append(
    element(
      "thead",
      {},
      element(
        "tr",
        {},
        ...["strategy", "sessions", ...columns.map(([heading]) => heading)].map((heading) => element("th", {}, heading))
      )
    ),
    element(
      "tbody",
      {},
      ...report.runs.map((run) =>
        element(
          "tr",
          {},
          element("td", { className: "name" }, run.strategy),
          cell(String(run.sessionCount)),
          ...columns.map(([, text, isAlarming]) => cell(text(run), isAlarming?.(run)))
        )
      )
    )
  )
  byId("legend").append(
    ...data.legend.flatMap(([heading, meaning]) => [element("dt", {}, heading), element("dd", {}, meaning)])
  )
  byId("meanings").append(
    ...strategies.flatMap(({ meaning, name, place: where }) => [
      element("dt", { className: "name" }, name),
      element("dd", {}, `${meaning} (${where})`)
    ])
  )

  /* Another width, other colors: drawn anew */

  const redraw = () => {
    for (const one of plots) {
      one.plot.destroy()
      one.plot = draw(one.draft)
    }
  }
  let waiting
  addEventListener("resize", () => {
    clearTimeout(waiting)
    waiting = setTimeout(redraw, 150)
  })
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw)
})()
