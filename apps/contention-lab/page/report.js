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
  const painted = (variable) => getComputedStyle(document.documentElement).getPropertyValue(variable).trim()

  const isAway = (name) => strategies.find((one) => one.name === name).place === "behind round trips"
  const sizes = [...new Set(report.runs.map((run) => run.sessionCount))]
  const seats = [
    { title: "engines behind round trips", holds: isAway },
    { title: "engines in this process or thread", holds: (name) => !isAway(name) }
  ]

  const keysOf = (names) =>
    element(
      "div",
      { className: "keys" },
      ...names.map((name) => {
        const swatch = element("i")
        swatch.style.background = color(name)
        return element("span", { className: "key" }, swatch, element("span", { className: "name" }, name))
      })
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

  const { flushIntervalMillis, roundTripMillis, rows, seed } = report.scenario
  byId("setting").textContent =
    `${seconds} s of arrivals in ${report.isVirtual ? "virtual" : "real"} time, seed ${seed}. A tick every ` +
    `${flushIntervalMillis} ms, rows sent ${rows}. Behind round trips a statement takes ${roundTripMillis} ms and ` +
    "its work. " +
    `A daemon gives up after ${limitMillis / 1000} s. Besides the sessions, ${data.machineCount} machines beat.`
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
    span.style.right = `calc(100% - ${place(registration.p99Millis)})`
    span.style.background = color(strategy)
    const marks = [registration.p50Millis, registration.p99Millis, registration.maxMillis].map((millis) => {
      const mark = element("div", { className: "mark", title: millisText(millis) })
      mark.style.left = `min(${place(millis)}, calc(100% - 3px))`
      mark.style.background = color(strategy)
      return mark
    })
    track.append(span, ...marks)
    return [element("span", { className: "name" }, strategy), track]
  }

  const drawBars = (size) => {
    const runs = report.runs.filter((run) => run.sessionCount === size)
    const scale = element(
      "div",
      { className: "scale" },
      ...decades.map((millis) => {
        const label = element("span", {}, millis === limitMillis ? "10 s: given up" : millisText(millis))
        label.style.left = place(millis)
        return label
      })
    )
    card(
      `How long a machine waits to be registered, ${size} sessions`,
      "From the moment it came. The bar goes from the median to the 99th percentile, the last mark is the slowest. " +
        "Each step of the scale is ten times the one before.",
      element("div", { className: "bars" }, ...runs.flatMap(barOf), element("span"), scale),
      []
    )
  }

  /* Plots over time */

  const plots = []

  const draw = (draft) => {
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
        height: 320,
        cursor: { show: false },
        scales: { x: { time: false, ...draft.x }, y: { distr: 3, ...draft.y } },
        axes: [
          axis(draft.xLabel, draft.xAxis),
          axis(draft.yLabel, {
            size: 74,
            values: (_, splits) => splits.map((one) => (one === null ? "" : millisText(one)))
          })
        ],
        series: [
          {},
          ...draft.series.map(({ name, points, line }) => ({
            label: name,
            stroke: painted(`--s${colorNumber(name)}`),
            width: line ? 2 : 0,
            paths: line ? undefined : () => null,
            spanGaps: true,
            points: { show: points, size: 6, fill: painted(`--s${colorNumber(name)}`), width: 0 }
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
        return run === undefined ? null : Math.max(low, run.registration.p99Millis)
      })
    )
    addPlot(`99th percentile of the wait by number of sessions, ${seat.title}`, "Both scales are in decades.", {
      data: [sizes, ...values],
      series: shown.map(({ name }) => ({ name, points: true, line: true })),
      x: { distr: 3, range: [Math.min(...sizes) * 0.8, Math.max(...sizes) * 1.25] },
      xAxis: { splits: () => sizes },
      y: { range: [low, limitMillis * 2] },
      xLabel: "sessions that beat",
      yLabel: "p99 of the wait",
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
  const headings = [
    "strategy",
    "sessions",
    ...data.legend.flatMap(([heading]) =>
      heading === "p50, p99, max"
        ? ["p50", "p99", "max"]
        : heading === "flush p50, max"
          ? ["flush p50", "flush max"]
          : [heading]
    )
  ]
  byId("figures").append(
    element("thead", {}, element("tr", {}, ...headings.map((heading) => element("th", {}, heading)))),
    element(
      "tbody",
      {},
      ...report.runs.map(({ flush, heldShare, loopGapMaxMillis, registration, sessionCount, strategy }) =>
        element(
          "tr",
          {},
          element("td", { className: "name" }, strategy),
          cell(String(sessionCount)),
          cell(millisText(registration.p50Millis)),
          cell(millisText(registration.p99Millis)),
          cell(millisText(registration.maxMillis)),
          cell(`${registration.missedCount} of ${registration.count}`, registration.missedCount > 0),
          cell(millisText(flush.p50Millis)),
          cell(millisText(flush.maxMillis)),
          cell(
            flush.last === undefined ? "none" : `${flush.last.writtenCount}/${flush.last.rowCount}`,
            flush.last?.writtenCount === 0
          ),
          cell(`${flush.emptyCount} of ${flush.count}`, flush.emptyCount > 0),
          cell(shareText(heldShare)),
          cell(loopGapMaxMillis === undefined ? "–" : millisText(loopGapMaxMillis))
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
