// Draws matrices of numbers that the server has computed: a table up to 20×20, a canvas above.
//
// The numbers come as JSON in a hidden paragraph, which is on the page as soon as Streamlit has drawn it. All matrices
// that read the same paragraph are drawn in one go, so that no frame of the screen shows one of them old and one new.
// Colours and places are computed here; every text comes from the server.

const page = (window.crossEntropyMatrices ??= { sources: new Map(), observer: null })

export default function ({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".heatmap, .texts")
  root.view ??= new (root.matches(".texts") ? Texts : Matrix)(root)
  const { view } = root
  view.setTriggerValue = setTriggerValue
  view.configure(data)
  view.open()
  const source = sourceOf(data.source)
  source.views.add(view)
  if (source.frame) view.draw(source.frame)
  look()
  return () => {
    source.views.delete(view)
    view.close()
  }
}

function sourceOf(key) {
  if (!page.sources.has(key)) page.sources.set(key, { key, views: new Set(), node: null, text: "", frame: null })
  if (!page.observer) {
    page.observer = new MutationObserver(look)
    page.observer.observe(document.body, { childList: true, characterData: true, subtree: true })
  }
  return page.sources.get(key)
}

function look() {
  for (const source of page.sources.values()) {
    if (!source.views.size) continue
    if (!source.node?.isConnected) source.node = document.querySelector(`.st-key-${source.key}`)
    const text = source.node?.querySelector("p[hidden]")?.textContent
    if (!text || text === source.text) continue
    source.text = text
    source.frame = read(text)
    for (const view of source.views) view.draw(source.frame)
    document.dispatchEvent(new CustomEvent("matrices-drawn", { detail: { source: source.key, frame: source.frame } }))
  }
}

function read(text) {
  const frame = JSON.parse(text)
  for (const matrix of Object.values(frame.matrices)) {
    const { shape, numbers } = matrix
    const flat = new Float64Array(Uint8Array.from(atob(numbers), letter => letter.charCodeAt(0)).buffer)
    matrix.values = Array.from({ length: shape[0] }, (_, row) => Array.from(flat.subarray(row * shape[1], (row + 1) * shape[1])))
  }
  return frame
}

class Matrix {
  constructor(root) {
    this.root = root
    this.plane = root.querySelector(".plane")
    this.tip = root.querySelector(".tip")
    this.note = root.querySelector(".note")
    this.at = { row: 0, label: 0 }
    root.onkeydown = event => this.onKey(event)
    root.onpointerleave = () => this.hideTip()
    root.onfocusout = () => this.hideTip()
    this.sizes = new ResizeObserver(() => this.fit())
  }

  open() {
    this.sizes.observe(this.root)
  }

  configure(data) {
    this.data = data
    for (const [name, value] of Object.entries({ row: `${data.row_height}px`, ...data.inks }))
      this.root.style.setProperty(`--${name}`, value)
    this.colours = scale(data.colours)
  }

  close() {
    this.sizes.disconnect()
    this.hideTip()
  }

  draw(frame) {
    const matrix = frame.matrices[this.data.name]
    if (!matrix) return
    const kind = matrix.texts ? TableOfNumbers : Canvas
    const form = JSON.stringify([matrix.shape, frame.rows, frame.classes, kind === Canvas])
    this.frame = frame
    this.matrix = matrix
    if (form !== this.form) {
      this.form = form
      this.hideTip()
      this.at = { row: 0, label: 0 }
      this.plane.replaceChildren()
      this.picture = new kind(this)
      this.fit()
    }
    this.root.setAttribute("aria-label", matrix.label)
    this.note.hidden = !matrix.note
    if (this.note.textContent !== matrix.note) this.note.textContent = matrix.note
    const chosen = frame.chosen?.name === this.data.name ? frame.chosen : null
    this.chosen = chosen && { row: chosen.row, label: chosen.label }
    this.targets = new Map(matrix.outlines.map(([row, label, share]) => [`${row},${label}`, share]))
    this.picture.draw()
    this.root.values = matrix.values
    if (!this.tip.hidden && this.pointed) this.showTip(this.pointed)
  }

  fit() {
    if (!this.matrix) return
    const width = (this.root.clientWidth - this.frame.rows_width) / this.matrix.shape[1]
    this.root.classList.toggle("narrow", width < 52)
    this.root.classList.toggle("hairline", width < 38)
    this.picture?.fit?.()
  }

  share(value) {
    const share = value / this.matrix.bound
    return this.data.symmetric ? (Math.min(Math.max(share, -1), 1) + 1) / 2 : Math.min(Math.max(share, 0), 1)
  }

  colour(value) {
    return this.colours[Math.round(this.share(value) * (this.colours.length - 1))]
  }

  isDark(value) {
    return Math.abs(value) > this.data.dark_from * this.matrix.bound
  }

  choose(cell) {
    this.at = cell
    if (!this.data.asks) return
    for (const source of page.sources.values())
      if (source.frame === this.frame) for (const view of source.views) view.mark?.(view === this ? cell : null)
    this.setTriggerValue("chosen", { row: cell.row, label: cell.label })
  }

  mark(cell) {
    this.chosen = cell
    this.picture?.draw()
  }

  onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || !this.matrix) return
    const [rows, columns] = this.matrix.shape
    const { row, label } = this.at
    const next = {
      ArrowUp: [row - 1, label], ArrowDown: [row + 1, label], ArrowLeft: [row, label - 1], ArrowRight: [row, label + 1],
      Home: [row, 0], End: [row, columns - 1], PageUp: [0, label], PageDown: [rows - 1, label],
    }[event.key]
    if (next) {
      event.preventDefault()
      const inside = (value, most) => Math.min(Math.max(value, 0), most - 1)
      this.at = { row: inside(next[0], rows), label: inside(next[1], columns) }
      this.picture.focus()
      this.showTip(this.at)
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault()
      this.choose(this.at)
    } else if (event.key === "Escape") this.hideTip()
  }

  textOf({ row, label }) {
    const told = this.matrix.hover?.[row]?.[label]
    const value = this.matrix.values[row][label]
    return told ?? `${this.frame.rows[row]}, ${this.frame.classes[label]}\n${spelled(value)}`
  }

  showTip(cell) {
    this.pointed = cell
    const text = this.textOf(cell)
    if (this.tip.textContent !== text) this.tip.textContent = text
    this.tip.hidden = false
    const box = this.picture.boxOf(cell), own = this.tip.getBoundingClientRect()
    const left = Math.min(Math.max(box.left + box.width / 2 - own.width / 2, 4), innerWidth - own.width - 4)
    const top = box.top > own.height + 8 ? box.top - own.height - 4 : box.bottom + 4
    this.tip.style.transform = `translate(${left}px, ${top}px)`
  }

  hideTip() {
    this.pointed = null
    this.tip.hidden = true
  }
}

// Texts in columns, each row as high as one of a matrix.
class Texts {
  constructor(root) {
    this.root = root
  }

  configure(data) {
    this.root.style.setProperty("--row", `${data.row_height}px`)
    this.name = data.name
  }

  open() {}

  close() {}

  draw(frame) {
    const { columns, label } = frame.texts[this.name]
    const form = JSON.stringify([frame.rows, Object.keys(columns)])
    if (form !== this.form) {
      this.form = form
      const table = document.createElement("table")
      table.createTHead().insertRow().append(...Object.keys(columns).map(name => headed("col", name)))
      const body = table.createTBody()
      this.cells = frame.rows.map(name => {
        const line = body.insertRow()
        line.title = name
        return Object.keys(columns).map(() => line.insertCell())
      })
      this.root.replaceChildren(table)
    }
    this.root.firstChild.setAttribute("aria-label", label)
    Object.values(columns).forEach((texts, column) => texts.forEach((text, row) => {
      const cell = this.cells[row][column]
      if (cell.textContent !== text) cell.textContent = text
    }))
  }
}

// Every number in a cell of its own, to read, to copy, and to reach by keyboard.
class TableOfNumbers {
  constructor(view) {
    this.view = view
    const { frame, matrix } = view
    const table = document.createElement("table")
    table.setAttribute("role", "grid")
    const names = document.createElement("colgroup")
    names.append(...[frame.rows_width, ...frame.classes.map(() => null)].map(width => {
      const column = document.createElement("col")
      if (width) column.style.width = `${width}px`
      return column
    }))
    table.append(names)
    const head = table.createTHead().insertRow()
    head.append(document.createElement("td"))
    head.firstChild.style.cursor = "default"
    head.append(...frame.classes.map(name => headed("col", name)))
    const body = table.createTBody()
    this.cells = frame.rows.map((name, row) => {
      const line = body.insertRow()
      line.append(headed("row", name))
      return frame.classes.map((_, label) => {
        const cell = line.insertCell()
        cell.place = { row, label }
        cell.tabIndex = -1
        return cell
      })
    })
    this.shown = matrix.values.map(row => row.map(() => undefined))
    table.onclick = event => { if (placeOf(event) && !String(getSelection())) view.choose(placeOf(event)) }
    table.onpointerover = event => { if (placeOf(event)) view.showTip(placeOf(event)); else view.hideTip() }
    table.onfocusin = event => { if (placeOf(event)) this.move(placeOf(event)) }
    view.plane.append(table)
    this.move(view.at)
  }

  move(place) {
    const { view } = this
    this.cells[view.at.row][view.at.label].tabIndex = -1
    view.at = place
    this.cells[place.row][place.label].tabIndex = 0
  }

  focus() {
    for (const row of this.cells) for (const cell of row) if (cell.tabIndex === 0) cell.tabIndex = -1
    const cell = this.cells[this.view.at.row][this.view.at.label]
    cell.tabIndex = 0
    cell.focus()
  }

  draw() {
    const { view } = this, { matrix, chosen } = view
    const isNew = matrix.bound !== this.bound
    this.bound = matrix.bound
    this.cells.forEach((cells, row) => cells.forEach((cell, label) => {
      const value = matrix.values[row][label], text = matrix.texts[row][label]
      if (cell.textContent !== text) cell.textContent = text
      if (isNew || !Object.is(value, this.shown[row][label])) {
        this.shown[row][label] = value
        const isFinite = Number.isFinite(value)
        cell.style.background = isFinite ? view.colour(value) : ""
        cell.className = isFinite ? (view.isDark(value) ? "light" : "") : "none"
      }
      const share = view.targets.get(`${row},${label}`)
      cell.classList.toggle("target", share !== undefined)
      if (share !== undefined) cell.style.setProperty("--share", `${1 + Math.round(2 * Math.min(Math.max(share, 0), 1))}px`)
      const isChosen = chosen?.row === row && chosen.label === label
      cell.classList.toggle("chosen", isChosen)
      if (view.data.asks) cell.setAttribute("aria-selected", isChosen)
    }))
  }

  boxOf({ row, label }) {
    return this.cells[row][label].getBoundingClientRect()
  }
}

// Too many numbers to read: coloured cells, with the number of one under the pointer or the arrow keys.
class Canvas {
  constructor(view) {
    this.view = view
    const { frame } = view
    const grid = document.createElement("div"), corner = document.createElement("div")
    grid.className = "grid"
    this.columns = Object.assign(document.createElement("div"), { className: "columns" })
    this.rows = Object.assign(document.createElement("div"), { className: "rows" })
    this.canvas = Object.assign(document.createElement("canvas"), { tabIndex: 0 })
    this.canvas.setAttribute("role", "img")
    this.said = Object.assign(document.createElement("div"), { className: "unseen" })
    this.said.setAttribute("aria-live", "polite")
    grid.append(corner, this.columns, this.rows, this.canvas)
    view.plane.append(grid, this.said)
    this.height = view.data.row_height * frame.rows.length
    this.canvas.style.height = `${this.height}px`
    const longest = frame.rows.reduce((a, b) => (b.length > a.length ? b : a), "")
    this.rows.append(Object.assign(document.createElement("div"), { className: "widest", textContent: longest }))
    spread(this.columns, frame.classes, "left", 33)
    spread(this.rows, frame.rows, "top", Math.floor(this.height / 16))
    this.canvas.onclick = event => view.choose(this.placeAt(event))
    this.canvas.onpointermove = event => view.showTip(this.placeAt(event))
    this.canvas.onpointerleave = () => view.hideTip()
  }

  fit() {
    const width = this.canvas.clientWidth
    if (!width || width === this.width) return
    this.width = width
    const fine = Math.min(devicePixelRatio || 1, Math.sqrt(8e6 / (width * this.height)), 16000 / this.height)
    this.canvas.width = Math.round(width * fine)
    this.canvas.height = Math.round(this.height * fine)
    this.context = this.canvas.getContext("2d")
    this.fine = fine
    this.shown = null
    if (this.view.targets) this.draw()
  }

  draw() {
    const { view, context } = this
    const { values, shape, bound } = view.matrix
    this.canvas.setAttribute("aria-label", view.matrix.label)
    if (!context) return
    const marks = place => `${view.targets.get(place) ?? ""}${view.chosen && place === `${view.chosen.row},${view.chosen.label}`}`
    const isNew = !this.shown || this.bound !== bound
    this.bound = bound
    this.shown = values.map((row, i) => row.map((value, label) => {
      const drawn = `${value} ${marks(`${i},${label}`)}`
      if (isNew || this.shown[i][label] !== drawn) this.drawCell(i, label, value, shape)
      return drawn
    }))
  }

  drawCell(row, label, value, [rows, columns]) {
    const { view, context, canvas, fine } = this
    const left = Math.round((label * canvas.width) / columns), right = Math.round(((label + 1) * canvas.width) / columns)
    const top = Math.round((row * canvas.height) / rows), bottom = Math.round(((row + 1) * canvas.height) / rows)
    const gap = Math.max(rows, columns) <= 32 ? 1 : 0
    context.clearRect(left, top, right - left, bottom - top)
    if (Number.isFinite(value)) {
      context.fillStyle = view.colour(value)
      context.fillRect(left, top, right - left - gap, bottom - top - gap)
    } else {
      context.fillStyle = getComputedStyle(canvas).color
      context.font = `${Math.min(11 * fine, (right - left) / 2)}px sans-serif`
      context.textAlign = "center"
      context.textBaseline = "middle"
      context.fillText(spelled(value), (left + right) / 2, (top + bottom) / 2, right - left)
    }
    const share = view.targets.get(`${row},${label}`)
    if (share !== undefined) {
      context.strokeStyle = view.data.inks.outline
      context.lineWidth = Math.min((1 + Math.round(2 * share)) * fine, (right - left) / 3)
      context.setLineDash([])
      context.strokeRect(left + context.lineWidth / 2, top + context.lineWidth / 2, right - left - gap - context.lineWidth, bottom - top - gap - context.lineWidth)
    }
    if (view.chosen?.row === row && view.chosen.label === label) {
      context.strokeStyle = view.data.inks.selection
      context.lineWidth = 2 * fine
      context.setLineDash([3 * fine, 2 * fine])
      context.strokeRect(left + fine, top + fine, right - left - 2 * fine, bottom - top - 2 * fine)
    }
  }

  focus() {
    this.said.textContent = this.view.textOf(this.view.at)
  }

  placeAt(event) {
    const box = this.canvas.getBoundingClientRect(), [rows, columns] = this.view.matrix.shape
    const part = (at, from, size, count) => Math.min(Math.max(Math.floor(((at - from) / size) * count), 0), count - 1)
    return { row: part(event.clientY, box.top, box.height, rows), label: part(event.clientX, box.left, box.width, columns) }
  }

  boxOf({ row, label }) {
    const box = this.canvas.getBoundingClientRect(), [rows, columns] = this.view.matrix.shape
    return new DOMRect(box.left + (label * box.width) / columns, box.top + (row * box.height) / rows, box.width / columns, box.height / rows)
  }
}

function headed(scope, name) {
  const cell = document.createElement("th")
  cell.scope = scope
  cell.textContent = cell.title = name
  return cell
}

function placeOf(event) {
  return event.target.closest?.("td")?.place
}

// Names along an edge, all or evenly fewer.
function spread(edge, names, side, most) {
  const every = 1 + Math.floor((names.length - 1) / most)
  names.forEach((name, i) => {
    if (i % every) return
    const node = document.createElement("span")
    node.textContent = node.title = name
    node.style[side] = `${(100 * (i + 0.5)) / names.length}%`
    if (side === "left") node.style.maxWidth = `${(100 * every) / names.length}%`
    edge.append(node)
  })
}

function spelled(value) {
  return Number.isNaN(value) ? "NaN" : Number.isFinite(value) ? String(value).replace("-", "−") : value > 0 ? "inf" : "−inf"
}

// 256 colours between the stops, as [place, [red, green, blue]].
function scale(stops) {
  return Array.from({ length: 256 }, (_, i) => {
    const at = i / 255, above = stops.findIndex(([place]) => place >= at), [to, high] = stops[Math.max(above, 0)]
    const [from, low] = stops[Math.max(above - 1, 0)], part = to > from ? (at - from) / (to - from) : 0
    return `#${low.map((one, k) => Math.round(one + (high[k] - one) * part).toString(16).padStart(2, "0")).join("")}`
  })
}
