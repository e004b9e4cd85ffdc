// The live component: turns drags, keys and typed text into a state, sends it to the server, and draws the answer.
// All numbers come from the server, as texts, for every picture; here is only geometry.
//
// One request is in flight; meanwhile the newest state waits. The answer echoes the number of the request.
// All numbers on screen belong to one answer. Only the bar that is dragged is drawn before its answer has come.

const LOST_MS = 5000 // without an answer until the state is sent again
const ARROWS = { rises: "▲", falls: "▼", rests: "–" }
const views = new WeakMap()

export default function ({ parentElement, setStateValue, setTriggerValue }) {
  const root = parentElement.querySelector(".xent-live")
  if (!views.has(root)) views.set(root, new View(root))
  const view = views.get(root)
  view.setStateValue = setStateValue
  view.setTriggerValue = setTriggerValue
  // seen as soon as it is on the page; this function would be called with its data only after the next paint
  // without the class of its container, the paragraph is looked for in the whole page at each change of it
  const frame = document.querySelector(".st-key-live_frame") ?? document.body
  let shown
  const show = () => {
    const text = frame.querySelector("p[hidden]")?.textContent
    if (!text || text === shown) return // what is drawn here changes the page, too
    shown = text
    view.show(JSON.parse(text))
  }
  const observer = new MutationObserver(show)
  observer.observe(frame, { childList: true, characterData: true, subtree: true })
  show()
  return () => {
    observer.disconnect()
    view.close()
  }
}

class View {
  constructor(root) {
    this.root = root
    this.rows = []
    this.find = selector => root.querySelector(selector)
    this.rest = new Rest({
      ask: number =>
        this.setTriggerValue("rested", { generation: this.data.generation, label: this.touched ?? null, number }),
      isBusy: () => this.flies || this.waits || !!this.held,
    })
    this.find(".soft").onchange = event => this.edit({ soft: event.target.checked, moved: null })
    this.find(".smoothing").oninput = event => this.edit({ smoothing: event.target.value })
  }

  // An answer of the server.

  show(data) {
    const isNew = data.generation !== this.data?.generation
    if (isNew) {
      this.close()
      this.sequence = data.sequence
      this.waits = this.flies = false
      this.lead = this.held = null
    } else if (this.flies && data.sequence !== this.sequence) {
      return // an older picture: the answer is still to come
    }
    this.data = data
    if (this.flies) {
      this.flies = false
      clearTimeout(this.lost)
      this.rest.owe()
    }
    this.rest.follow()
    if (isNew || data.names.join("\n") !== this.names) this.build(data)
    this.settle()
    this.draw()
    if (this.waits) setTimeout(() => this.send())
  }

  settle() {
    if (this.flies || this.waits || this.held) return
    this.state = structuredClone(this.data.state)
    this.state.moved = null
    this.state.share = "0"
    this.lead = null
  }

  close() {
    clearTimeout(this.lost)
    this.rest.stop()
  }

  // Input, and the request that follows it.

  edit(changes, lead = null) {
    Object.assign(this.state, changes)
    this.lead = lead
    this.waits = true
    this.send() // first: the server works while the browser draws
    if (!this.held?.isEarly) this.draw()
    this.rest.moved()
  }

  send() {
    if (this.flies || !this.waits || isLeaving()) return
    this.waits = false
    this.flies = true
    this.sequence += 1
    const { logits, soft, label, probabilities, moved, share, smoothing } = this.state
    this.setStateValue("edit", {
      generation: this.data.generation, sequence: this.sequence,
      logits, soft, label, probabilities, moved, share, smoothing,
    })
    this.lost = setTimeout(() => {
      this.flies = false
      this.waits = true
      this.send()
    }, LOST_MS)
  }

  moveLogit(k, value) {
    const { bound } = this.data
    const logits = [...this.state.logits]
    logits[k] = rounded(Math.min(Math.max(value, -bound), bound))
    this.touched = k
    this.edit({ logits }, { kind: "logit", k })
  }

  typeLogit(k, text) {
    const logits = [...this.state.logits]
    logits[k] = text
    this.touched = k
    this.edit({ logits })
  }

  moveShare(k, value) {
    // the server counts from the probabilities at the start of the drag, so that the way there does not matter
    this.edit({ moved: k, share: rounded(Math.min(Math.max(value, 0), 1)) }, { kind: "share", k })
  }

  // what is typed stays as it is, and so do the other shares
  typeShare(k, text) {
    const probabilities = [...this.state.probabilities]
    probabilities[k] = text
    this.edit({ probabilities, moved: null })
  }

  choose(k) {
    const probabilities = this.data.names.map((_name, c) => (c === k ? "1" : "0"))
    this.edit({ label: k, probabilities, moved: null })
  }

  // A slider: pointer and keys in, values out.

  slider(track, { read, move, range, disabled = () => false }) {
    const at = event => {
      const { left, width } = this.held.box
      const { min, max, step } = range()
      const value = min + (max - min) * Math.min(Math.max((event.clientX - left) / width, 0), 1)
      return Math.round(value / (step / 2)) * (step / 2)
    }
    const follow = value => {
      const isNew = value !== this.held.at
      this.held.at = value
      if (isNew) move(value)
      return isNew
    }
    track.onpointerdown = event => {
      if (event.button !== 0 || this.held || disabled()) return
      track.setPointerCapture(event.pointerId)
      track.focus({ preventScroll: true })
      // asked for once: asking at every move would have the browser lay out the page each time
      const box = (track.querySelector(".lane") ?? track).getBoundingClientRect()
      this.held = { pointer: event.pointerId, before: read(), box }
    }
    // the raw event comes at once, and pointermove with the next frame: the request leaves early, the drawing waits
    track.addEventListener("pointerrawupdate", event => {
      if (this.held?.pointer !== event.pointerId) return
      this.held.isEarly = true
      follow(at(event))
      this.held.isEarly = false
    })
    track.onpointermove = event => {
      if (this.held?.pointer === event.pointerId && !follow(at(event))) this.draw()
    }
    track.onpointerup = event => {
      if (this.held?.pointer !== event.pointerId) return
      const value = at(event)
      this.held = null
      move(value)
    }
    track.onpointercancel = event => {
      // the finger scrolls the page: it never meant the slider
      if (this.held?.pointer !== event.pointerId) return
      const { before } = this.held
      this.held = null
      if (read() !== before) move(before)
    }
    track.onkeydown = event => {
      if (disabled() || event.altKey || event.ctrlKey || event.metaKey) return
      const { min, max, step } = range()
      const stride = event.shiftKey ? 10 * step : step
      const value = {
        ArrowRight: read() + stride, ArrowUp: read() + stride, ArrowLeft: read() - stride, ArrowDown: read() - stride,
        PageUp: read() + 10 * step, PageDown: read() - 10 * step, Home: min, End: max,
      }[event.key]
      if (value === undefined) return
      event.preventDefault()
      event.stopPropagation() // arrows belong to the slider alone
      move(value)
    }
  }

  readLogit(k) {
    const value = Number(this.state.logits[k])
    return Number.isFinite(value) && this.state.logits[k].trim() ? value : this.data.values[k] ?? 0
  }

  readShare(k) {
    return this.state.moved === k ? Number(this.state.share) : this.data.state.share_values[k] ?? 0
  }

  // Drawing.

  build(data) {
    this.names = data.names.join("\n")
    const { words } = data
    this.find(".rows").replaceChildren()
    for (const node of this.root.querySelectorAll(".term")) explain(node, data.tips[node.dataset.word])
    this.root.setAttribute("aria-label", words.title)
    this.find(".rows").setAttribute("aria-label", words.label)
    this.root.dataset.size = data.names.length > 10 ? "small" : "large"
    for (const [name, colour] of Object.entries(data.colours)) this.root.style.setProperty(`--${name}`, colour)
    this.rows = data.names.map((name, k) => this.buildRow(name, k, words))
  }

  buildRow(name, k, words) {
    const row = this.find("template").content.firstElementChild.cloneNode(true)
    const part = selector => row.querySelector(selector)
    for (const node of row.querySelectorAll("[data-quantity]")) node.dataset.class = k
    row.setAttribute("aria-label", name)
    write(part(".name span"), name)
    part(".name").title = name
    part(".name input").onchange = () => this.choose(k)
    const track = part(".logit")
    track.setAttribute("aria-label", `logit ${name}`)
    part(".logit .after").title = words.after
    this.slider(track, {
      read: () => this.readLogit(k),
      move: value => this.moveLogit(k, value),
      range: () => ({ min: -this.data.bound, max: this.data.bound, step: this.data.step }),
    })
    const typed = part(".logit + .typed")
    typed.setAttribute("aria-label", words.type.replace("{name}", () => name))
    typed.onchange = () => this.typeLogit(k, typed.value)
    typed.onkeydown = event => {
      event.stopPropagation()
      if (event.key === "Escape") typed.value = typed.dataset.shown
    }
    const share = part(".share")
    share.setAttribute("aria-label", words.type_share.replace("{name}", () => name))
    share.onchange = () => this.typeShare(k, share.value)
    share.onkeydown = event => {
      event.stopPropagation()
      if (event.key === "Escape") share.value = share.dataset.shown
    }
    const target = part(".target")
    this.slider(target, {
      read: () => this.readShare(k),
      move: value => this.moveShare(k, value),
      range: () => ({ min: 0, max: 1, step: 0.01 }),
      disabled: () => !this.data.state.soft,
    })
    this.find(".rows").append(row)
    return { name, track, typed, share, target, radio: part(".name input"), part, row }
  }

  draw() {
    const { data } = this
    write(this.find("[data-quantity=loss]"), data.loss)
    this.drawGauge(data)
    this.find(".soft").checked = this.state.soft
    const smoothing = this.find(".smoothing")
    smoothing.value = this.state.smoothing
    write(this.find(".options output"), data.state.smoothing)
    for (const node of this.root.querySelectorAll("[data-word]")) write(node, data.words[node.dataset.word])
    this.root.toggleAttribute("data-soft", data.state.soft)
    const refused = [...Object.values(data.refused), ...Object.values(data.refused_shares)]
    write(this.find(".note"), refused.join(" ") || data.note)
    this.rows.forEach((row, k) => this.drawRow(row, k, data))
  }

  drawRow({ name, track, typed, share: typedShare, target, radio, part, row }, k, data) {
    const leads = kind => this.lead?.kind === kind && this.lead.k === k
    for (const quantity of ["logit", "prob", "target", "grad"]) write(part(`[data-quantity=${quantity}]`), data[quantity][k])
    const isLabel = data.state.label === k
    row.classList.toggle("labelled", isLabel)
    radio.checked = this.state.label === k

    const value = leads("logit") ? this.readLogit(k) : data.values[k]
    const fraction = (value ?? 0) / data.bound
    track.style.setProperty("--from", `${50 + 50 * Math.min(fraction, 0)}%`)
    track.style.setProperty("--width", `${50 * Math.abs(fraction)}%`)
    track.style.setProperty("--tip", `${50 + 50 * fraction}%`)
    track.style.setProperty("--after", `${50 + (50 * (data.after[k] ?? 0)) / data.bound}%`)
    track.classList.toggle("left", fraction < 0)
    track.classList.toggle("leads", leads("logit"))
    track.classList.toggle("nowhere", data.after[k] === null)
    slides(track, -data.bound, data.bound, value ?? 0, `${data.logit[k]}, ${data.words[data.direction[k]] ?? ""}`)

    this.drawTyped(typed, data.state.logits[k], String(k) in data.refused)
    this.drawTyped(typedShare, data.state.probabilities[k], String(k) in data.refused_shares)

    part(".prob").style.setProperty("--width", `${100 * (data.prob_length[k] ?? 0)}%`)
    const share = leads("share") ? this.readShare(k) : data.state.soft ? data.state.share_values[k] : data.target_length[k]
    target.style.setProperty("--width", `${100 * Math.max(share ?? 0, 0)}%`)
    target.classList.toggle("leads", leads("share"))
    target.classList.toggle("track", data.state.soft)
    if (data.state.soft) {
      target.setAttribute("role", "slider")
      target.tabIndex = 0
      target.setAttribute("aria-label", data.words.share.replace("{name}", () => name))
      slides(target, 0, 1, share ?? 0, data.target[k])
    } else {
      for (const name of ["role", "tabindex", "aria-label", "aria-valuemin", "aria-valuemax", "aria-valuenow", "aria-valuetext"])
        target.removeAttribute(name)
    }

    const grad = part(".grad"), pull = data.grad_length[k] ?? 0
    grad.style.setProperty("--from", `${50 + 50 * Math.min(pull, 0)}%`)
    grad.style.setProperty("--width", `${50 * Math.abs(pull)}%`)
    row.dataset.direction = data.direction[k]
    write(part(".direction b"), ARROWS[data.direction[k]] ?? "")
    write(part(".direction span"), data.words[data.direction[k]] ?? "")
  }

  // A field for a number: what was refused, or is being typed, stays.
  drawTyped(field, shown, refused) {
    field.setAttribute("aria-invalid", refused)
    const isTyping = document.activeElement === field && !this.lead
    if (!refused && (!isTyping || field.value === field.dataset.shown)) field.value = shown
    field.dataset.shown = shown
  }

  drawGauge({ gauge, loss, words }) {
    const line = this.find(".gauge")
    line.setAttribute("aria-label", `${words.gauge}: ${loss}; ${gauge.marks.map(mark => `${mark.name} ${mark.text}`).join(", ")}`)
    const diamond = line.querySelector(".diamond")
    diamond.hidden = gauge.loss === null
    diamond.style.left = `${100 * (gauge.loss ?? 0)}%`
    const old = new Map([...line.querySelectorAll(".mark")].map(node => [node.dataset.mark, node]))
    for (const mark of gauge.marks) {
      const node = old.get(mark.id) ?? line.appendChild(document.createElement("span"))
      old.delete(mark.id)
      node.className = `mark term ${mark.id}`
      node.dataset.mark = mark.id
      node.style.left = `${100 * mark.place}%`
      explain(node, this.data.tips[mark.id])
      write(node, `${mark.name} ${mark.text}`)
    }
    for (const node of old.values()) node.remove()
  }
}

function slides(node, min, max, now, text) {
  node.setAttribute("aria-valuemin", min)
  node.setAttribute("aria-valuemax", max)
  node.setAttribute("aria-valuenow", now)
  node.setAttribute("aria-valuetext", text)
}

// What a word means: shown by the style while one points at it, has its focus, or has tapped it.
function explain(node, tip) {
  node.tabIndex = 0
  node.dataset.tip = tip
  node.setAttribute("aria-description", tip)
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text
}

// 0.1 + 0.2 is 0.3 to whoever drags
function rounded(value) {
  return String(Number(value.toPrecision(12)))
}
