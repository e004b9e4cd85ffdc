// The gallery: cards of suspects, on which one decides. A click or key is drawn at once and kept in this browser tab,
// and in the browser, row by row, for a later visit; the server is told meanwhile. One message is in flight; what is
// decided by then goes with the next.
//
// A message carries every change that the server has not confirmed, so that a lost one loses nothing.

const LOST_MS = 5000 // without an answer until the changes are sent again
const KEY = "cross-entropy-explorer-decisions"
const PLACE_KEY = "cross-entropy-explorer-decisions-place"
const LAST_KEY = "cross-entropy-explorer-last-dump"
const CHOICES = ["keep", "relabel", "drop", "unsure"]
const KEYS = { k: "keep", r: "relabel", d: "drop", u: "unsure" }
const MOST_UNDO = 1000
const MOST_KEPT_UNDO = 6000 // entries of the steps back that a reload keeps
const MOST_DUMPS = 20 // whose decisions this browser keeps
const galleries = new WeakMap()

export default function ({ parentElement, data, setStateValue, setTriggerValue }) {
  const root = parentElement.querySelector(".xent-gallery")
  if (!galleries.has(root)) galleries.set(root, new Gallery(root))
  const gallery = galleries.get(root)
  Object.assign(gallery, { setStateValue, setTriggerValue })
  gallery.open(data)
  // what the server answers is seen as soon as it is on the page
  const frame = document.querySelector(".st-key-gallery_frame") ?? document.body
  const shown = new Set()
  const show = () => {
    const texts = [...frame.querySelectorAll("p[hidden]")].map(one => one.textContent)
    for (const text of texts) if (!shown.has(text)) gallery.hear(text)
    shown.clear()
    texts.forEach(text => shown.add(text))
  }
  const observer = new MutationObserver(show)
  observer.observe(frame, { childList: true, characterData: true, subtree: true })
  show()
  return () => {
    observer.disconnect()
    clearTimeout(gallery.lost)
  }
}

class Gallery {
  constructor(root) {
    Object.assign(this, { root, cards: {}, filter: "all", page: 0, at: 0, sequence: 0, flies: 0, undone: [], nodes: [] })
    this.unconfirmed = new Map() // row → the number of the message that first told of it
    this.find = selector => root.querySelector(selector)
    root.addEventListener("keydown", event => this.key(event))
    this.find(".cards").onfocus = () => this.goTo(this.at) // by the link at the top of the page
    this.find(".undo").onclick = () => this.undo()
    this.find(".skip").onclick = () => this.nextUndecided()
    this.find(".anew").onclick = () => this.beginAnew()
    this.find(".previous").onclick = () => this.turn(this.page - 1)
    this.find(".next").onclick = () => this.turn(this.page + 1)
  }

  // What the server says.

  open(data) {
    const isNew = data.generation !== this.data?.generation || data.dump !== this.data?.dump
    const rows = JSON.stringify(data.rows)
    const areOthers = rows !== this.rows || data.dump !== this.data?.dump
    this.data = data
    this.rows = rows
    const isFirst = data.dump !== this.dump
    this.remember(data)
    if (isNew) this.adopt(data)
    else if (!data.fresh && JSON.stringify(data.files) !== JSON.stringify(this.files)) {
      this.files = data.files // one dispute less
      this.store()
    }
    if (areOthers) {
      this.places = new Map(data.rows.map((one, place) => [one[0], place]))
      this.list = this.filtered()
      this.page = this.at = 0
      this.cards = {}
      if (isFirst) this.goBack()
    }
    if (isNew || areOthers) this.label()
    this.draw()
    this.want()
  }

  // Tells the server, once after a reload, that this tab had another dump open: the server has lost its file.
  remember(data) {
    const last = parsed(LAST_KEY)
    if (!window.galleryWasOpen && data.fresh && typeof last === "string" && last !== data.dump) {
      this.setTriggerValue("before", true)
    }
    window.galleryWasOpen = true
    try {
      window.sessionStorage.setItem(LAST_KEY, JSON.stringify(data.dump))
    } catch {
      // the next reload says nothing of it
    }
  }

  // A set of decisions: what this tab has kept, or else an earlier visit, or what the server has put in its place.
  adopt(data) {
    const before = this.decided
    const kept = ofThisTab(data)
    const keeps = kept && (data.fresh || kept.generation === data.generation)
    const isNothing = !kept || !(kept.entries.length || kept.undone.length || Object.keys(kept.files).length)
    const inBrowser = ofThisBrowser(data)
    const earlier = data.fresh && isNothing ? inBrowser ?? [] : []
    const entries = earlier.length ? earlier : keeps ? kept.entries : data.entries
    this.decided = mapped(entries)
    if (keeps) this.undone = kept.undone
    else this.undone = before && this.dump === data.dump ? [...this.undone, before] : []
    if (!before || this.dump !== data.dump) {
      this.inBrowser = new Map(inBrowser && (keeps || earlier.length) ? this.decided : [])
      this.isKept = true
    }
    this.takenOver = earlier.length
    this.dump = data.dump
    this.files = keeps && data.fresh ? kept.files : data.files
    this.flies = 0
    this.unconfirmed.clear()
    this.store()
    if (this.decided.size || Object.keys(this.files).length || !data.fresh) {
      this.tellsAll = true
      this.send()
    }
  }

  hear(text) {
    const { answer, cards } = JSON.parse(text)
    if (answer && answer.generation === this.data.generation) {
      if (this.flies && answer.sequence >= this.flies) {
        clearTimeout(this.lost)
        for (const [row, number] of this.unconfirmed) if (number <= this.flies) this.unconfirmed.delete(row)
        this.flies = 0
        this.tidies = this.toldAll
        setTimeout(() => this.send())
      }
    }
    if (cards) {
      this.cards = cards
      this.draw()
    }
  }

  // Decisions.

  decide(row, choice, label = null) {
    const [, old, suggested] = this.data.rows[this.places.get(row)]
    if (choice === "relabel" && label === null) {
      if (suggested === old) return this.chooseOther()
      label = suggested
    }
    if (choice === "relabel" && label === old) return this.decide(row, "keep")
    if (!this.decided.has(row) && this.decided.size >= this.data.most) {
      return this.say(this.data.words.full.replace("{most}", this.data.most))
    }
    this.undone = [...this.undone, [row, this.decided.get(row)]].slice(-MOST_UNDO)
    this.change(row, [choice, choice === "relabel" ? label : null, new Date().toISOString().slice(0, 19) + "Z", old])
  }

  change(row, value) {
    if (value) this.decided.set(row, value)
    else this.decided.delete(row)
    this.unconfirmed.set(row, Infinity)
    this.send()
    this.store()
    this.draw()
  }

  undo() {
    const last = this.undone.at(-1)
    if (!last) return
    this.undone = this.undone.slice(0, -1)
    if (last instanceof Map) return this.replaceAll(last)
    const [row, value] = last
    const place = this.list.indexOf(row)
    if (place >= 0) this.goTo(place)
    this.change(row, value)
  }

  beginAnew() {
    this.undone = [...this.undone, this.decided].slice(-MOST_UNDO)
    this.replaceAll(new Map())
    this.find(".undo").focus() // the button that was pressed is gone
  }

  replaceAll(decided) {
    this.decided = decided
    this.takenOver = 0
    this.tellsAll = true
    this.send()
    this.store()
    this.draw()
  }

  send() {
    // what was sent last goes with every later message of the page: a long one is followed by an empty one
    if (this.flies || (!this.unconfirmed.size && !this.tellsAll && !this.tidies)) return
    // a new page of the app begins where an older one may have ended
    this.sequence = Math.max(this.sequence + 1, Date.now())
    this.flies = this.sequence
    const all = !!this.tellsAll
    this.tellsAll = this.tidies = false
    this.toldAll = all
    const rows = all ? [...this.decided.keys()] : [...this.unconfirmed.keys()]
    for (const row of this.unconfirmed.keys()) this.unconfirmed.set(row, this.sequence)
    this.setStateValue("decided", {
      dump: this.data.dump, generation: this.data.generation, sequence: this.sequence, all,
      changes: rows.map(row => [row, ...(this.decided.get(row) ?? ["", null, "", null])]),
      files: this.data.fresh ? this.files : {},
    })
    this.lost = setTimeout(() => {
      this.flies = 0
      this.tellsAll ||= all
      this.send()
    }, LOST_MS)
  }

  // Where this tab was before a reload.
  goBack() {
    const { filter, row } = parsed(`${PLACE_KEY} ${this.dump}`) ?? {}
    if (["all", "decided", "undecided"].includes(filter)) this.filter = filter
    this.list = this.filtered()
    this.at = Math.max(0, this.list.indexOf(row))
    this.page = Math.floor(this.at / this.data.page_cards)
  }

  keepPlace() {
    const place = JSON.stringify({ filter: this.filter, row: this.list[this.at] })
    if (place === this.place) return
    this.place = place
    try {
      window.sessionStorage.setItem(`${PLACE_KEY} ${this.dump}`, place)
    } catch {
      // a reload begins at the first card
    }
  }

  store() {
    const kept = {
      generation: this.data.generation, entries: listed(this.decided), files: this.files, undone: packed(this.undone),
    }
    try {
      window.sessionStorage.setItem(`${KEY} ${this.data.dump}`, JSON.stringify(kept))
    } catch {
      this.say(this.data.words.unsaved)
    }
    try {
      this.keepInBrowser()
    } catch {
      this.isKept = false // storage is full, or switched off
    }
  }

  // For a later visit: what this tab has changed, row by row, for another tab may have changed other rows.
  keepInBrowser() {
    const rows = new Set([...this.decided.keys(), ...this.inBrowser.keys()])
    const changed = [...rows].filter(row => this.decided.get(row) !== this.inBrowser.get(row))
    if (!changed.length) return
    const key = `${KEY} ${this.dump}`
    const before = ofThisBrowser(this.data)
    const kept = mapped(before ?? [])
    for (const row of changed) {
      kept.delete(row) // the latest stand last
      if (this.decided.has(row)) kept.set(row, this.decided.get(row))
    }
    if (!before) for (const other of otherDumps(key).slice(MOST_DUMPS - 1)) window.localStorage.removeItem(other)
    const text = JSON.stringify({ at: Date.now(), entries: listed(kept).slice(-this.data.most) })
    if (kept.size) setOrMakeRoom(key, text)
    else window.localStorage.removeItem(key)
    this.inBrowser = new Map(this.decided)
  }

  say(text) {
    write(this.find(".note"), text)
    this.find(".note").hidden = !text
  }

  // Where one is.

  filtered() {
    return this.data.rows.map(one => one[0]).filter(row => this.isWanted(row))
  }

  isWanted(row) {
    return this.filter === "all" || this.decided.has(row) === (this.filter === "decided")
  }

  choose(filter) {
    this.filter = filter
    this.list = this.filtered()
    this.page = this.at = 0
    this.draw()
    this.want()
  }

  turn(page, at = page * this.data.page_cards) {
    if (page < 0 || page * this.data.page_cards >= this.list.length) return
    this.page = page
    this.at = at
    this.draw()
    this.want()
  }

  goTo(place, focuses = true) {
    if (place < 0 || place >= this.list.length) return
    const page = Math.floor(place / this.data.page_cards)
    if (page !== this.page) this.turn(page, place)
    this.at = place
    this.draw()
    if (focuses) this.nodes[place - page * this.data.page_cards]?.card.focus()
  }

  nextUndecided() {
    const { list, at } = this
    for (let step = 1; step <= list.length; step++) {
      const place = (at + step) % list.length
      if (!this.decided.has(list[place])) return this.goTo(place)
    }
  }

  // Asks for the cards of this page and the next, unless they are there.
  want() {
    const { page_cards } = this.data
    const rows = this.list.slice(this.page * page_cards, (this.page + 2) * page_cards)
    if (rows.every(row => row in this.cards)) return
    const wanted = JSON.stringify([this.data.dump, rows])
    if (wanted === this.wanted) return
    this.wanted = wanted
    this.setStateValue("page", { dump: this.data.dump, rows })
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return
    const { target } = event
    if (target.matches("select, input")) return event.stopPropagation()
    const card = target.closest(".card")
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key
    const columns = Math.max(1, getComputedStyle(this.find(".cards")).gridTemplateColumns.split(" ").length)
    const steps = { ArrowRight: 1, j: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }
    const row = this.list[this.at]
    if (name === "z") this.undo()
    else if (name === "n") this.nextUndecided()
    else if (!card || row === undefined) return
    else if (name in steps) this.goTo(this.at + steps[name])
    else if (name === "Enter" && target === card) this.ask(row)
    else if (name === "o") this.chooseOther()
    else if (name in KEYS) {
      if (event.repeat) return
      const was = this.decided.get(row)
      this.decide(row, KEYS[name])
      if (this.decided.get(row) !== was) this.goOn()
    } else return
    event.preventDefault()
    event.stopPropagation() // R alone would run the page again
  }

  ask(row) {
    this.setTriggerValue("asked", { dump: this.data.dump, row })
    document.querySelector(".st-key-why")?.scrollIntoView({ block: "nearest" })
  }

  goOn() {
    this.goTo(Math.min(this.at + 1, this.list.length - 1))
  }

  // Another class than the suggested one: by keys nothing is decided before Enter; a list under the mouse opens.
  chooseOther(opens = false) {
    const other = this.nodes[this.at - this.page * this.data.page_cards]?.other
    other?.focus()
    if (!opens || other?.localName !== "select") return
    try {
      other.showPicker()
    } catch {
      // an older browser: it has the focus, and what to do stands beneath
    }
  }

  take(row, other) {
    const label = Number(other.value)
    if (other.value === "") return
    if (!Number.isInteger(label) || label < 0 || label >= this.data.classes) {
      return this.say(this.data.words.no_class.replace("{value}", other.value).replace("{most}", this.data.classes - 1))
    }
    other.pending = false
    this.say("")
    this.decide(row, "relabel", label)
    return true
  }

  // Drawing.

  label() {
    const { words, colours } = this.data
    this.root.setAttribute("aria-label", words.title)
    for (const [name, colour] of Object.entries(colours)) this.root.style.setProperty(`--${name}`, colour)
    const filters = this.find(".filters")
    filters.setAttribute("aria-label", words.filter)
    filters.replaceChildren(
      ...["all", "undecided", "decided"].map(name => {
        const button = document.createElement("button")
        button.type = "button"
        button.dataset.filter = name
        button.textContent = words[name]
        button.onclick = () => this.choose(name)
        return button
      }),
    )
    keyed(this.find(".undo"), words.undo, "Z")
    keyed(this.find(".skip"), words.next_undecided, "N")
    write(this.find(".keys"), words.keys)
    write(this.find(".none"), words.none)
    write(this.find(".anew"), words.anew)
    this.find(".previous").setAttribute("aria-label", words.previous)
    this.find(".next").setAttribute("aria-label", words.next)
    this.nodes = []
    this.find(".cards").replaceChildren()
  }

  newLabel(row) {
    const [choice, label] = this.decided.get(row) ?? []
    return choice === "relabel" ? String(label) : ""
  }

  nameOf(label) {
    return this.data.names[label] ?? String(label)
  }

  draw() {
    const { words, page_cards, rows } = this.data
    const done = rows.filter(one => this.decided.has(one[0])).length
    write(this.find(".done"), words.done.replace("{done}", done).replace("{all}", rows.length))
    this.find(".meter i").style.width = `${(100 * done) / Math.max(rows.length, 1)}%`
    this.find(".undo").disabled = !this.undone.length
    const where = !this.isKept ? words.not_kept : this.takenOver ? words.taken_over : words.kept
    write(this.find(".where span"), where.replace("{count}", this.takenOver))
    this.find(".where").classList.toggle("told", this.takenOver > 0 || !this.isKept)
    this.find(".anew").hidden = !this.decided.size
    this.find(".skip").disabled = done === rows.length
    for (const button of this.root.querySelectorAll("[data-filter]")) {
      button.setAttribute("aria-pressed", button.dataset.filter === this.filter)
    }
    const first = this.page * page_cards
    const onPage = this.list.slice(first, first + page_cards)
    while (this.nodes.length > onPage.length) this.nodes.pop().card.remove()
    while (this.nodes.length < onPage.length) this.nodes.push(this.build(this.nodes.length))
    onPage.forEach((row, i) => this.drawCard(this.nodes[i], row, first + i))
    this.find(".none").hidden = onPage.length > 0
    const pages = Math.max(1, Math.ceil(this.list.length / page_cards))
    write(this.find(".page"), words.page.replace("{page}", this.page + 1).replace("{pages}", pages))
    this.find(".previous").disabled = this.page === 0
    this.find(".next").disabled = this.page + 1 >= pages
    this.keepPlace()
  }

  build(i) {
    const { words } = this.data
    const card = this.find("template").content.firstElementChild.cloneNode(true)
    const part = selector => card.querySelector(selector)
    const row = () => this.list[this.page * this.data.page_cards + i]
    const here = () => {
      this.at = this.page * this.data.page_cards + i
    }
    card.addEventListener("focusin", () => {
      if (this.at === this.page * this.data.page_cards + i) return
      here()
      this.draw()
    })
    card.onclick = event => {
      here()
      if (!event.target.closest("button, select, input")) card.focus()
      this.draw()
    }
    part(".story").onclick = () => this.ask(row())
    for (const choice of CHOICES) {
      const button = part(`[data-choice=${choice}]`)
      keyed(button, words[choice], choice[0].toUpperCase())
      button.style.setProperty("--own", `var(--${choice})`)
      button.onclick = () => {
        here()
        const [, old, suggested] = this.data.rows[this.places.get(row())]
        if (choice === "relabel" && suggested === old) this.chooseOther(true)
        else this.decide(row(), choice)
      }
    }
    const other = this.data.all_names ? this.select(row) : this.numberField()
    other.onkeydown = event => this.keyInOther(event, row(), other)
    other.oninput = () => (other.pending ||= other.localName === "input")
    other.onblur = () => this.leave(other, row())
    other.setAttribute("aria-keyshortcuts", "O")
    const help = Object.assign(document.createElement("p"), { textContent: words.other_keys })
    part(".other").append(other, keyHint("O"), help)
    this.find(".cards").append(card)
    return { card, part, other }
  }

  // All classes, the suggested first, put in only when somebody looks.
  select(row) {
    const select = document.createElement("select")
    select.append(new Option(this.data.words.other, ""))
    const fill = () => {
      const [, old, suggested] = this.data.rows[this.places.get(row())]
      const labels = this.data.names.map((_name, label) => label).filter(label => label !== old && label !== suggested)
      if (suggested !== old) labels.unshift(suggested)
      const value = select.value
      select.replaceChildren(
        new Option(this.data.words.other, ""),
        ...labels.map(label => new Option(this.nameOf(label), String(label))),
      )
      select.value = value
    }
    select.addEventListener("pointerdown", () => {
      this.leave(select, row())
      fill()
    })
    select.addEventListener("focus", fill)
    select.addEventListener("wheel", () => (select.pending = true), { passive: true })
    select.onchange = () => {
      // with the list closed, each letter and arrow changes the value: that is looking, and Enter decides
      if (!select.pending && this.take(row(), select)) this.goTo(this.at)
    }
    return select
  }

  numberField() {
    return Object.assign(document.createElement("input"), {
      type: "number", min: 0, max: this.data.classes - 1, step: 1, placeholder: this.data.words.class_number,
    })
  }

  keyInOther(event, row, other) {
    const opens = event.key === " " || event.key === "F4" || (event.altKey && event.key.startsWith("Arrow"))
    if (event.key === "Enter") {
      event.preventDefault() // it would open the list
      if (this.take(row, other)) this.goOn()
    } else if (event.key === "Escape") {
      this.leave(other, row)
      this.say("")
      this.goTo(this.at)
    } else if (opens) this.leave(other, row)
    else if (!event.altKey && !event.ctrlKey && !event.metaKey) other.pending = true
  }

  // What was only looked at is forgotten: whoever chooses it in the open list changes the value, and that is heard.
  leave(other, row) {
    other.pending = false
    other.value = this.newLabel(row)
  }

  drawCard({ card, part, other }, row, place) {
    const { data } = this
    const { words } = data
    const [, old, suggested, id, facts] = data.rows[this.places.get(row)]
    const isCurrent = place === this.at
    const [choice, label] = this.decided.get(row) ?? []
    const said = !choice ? words.nothing : choice === "relabel" ? words.relabel_as.replace("{name}", () => this.nameOf(label)) : words[choice]
    const spoken = (suggested === old ? words.card_same : words.card)
      .replace("{row}", row).replace("{place}", place + 1).replace("{all}", this.list.length)
      .replace("{label}", () => this.nameOf(old)).replace("{suggested}", () => this.nameOf(suggested)).replace("{decision}", () => said)
    card.dataset.row = row
    card.dataset.decision = choice ?? ""
    card.setAttribute("aria-label", spoken)
    card.setAttribute("aria-current", isCurrent)
    card.classList.toggle("current", isCurrent)
    card.tabIndex = isCurrent ? 0 : -1
    card.style.setProperty("--decision", choice ? `var(--${choice})` : "var(--st-border-color)")
    for (const one of card.querySelectorAll("button, select, input")) one.tabIndex = isCurrent ? 0 : -1
    const isLeft = !this.isWanted(row) // it stays where it was decided until another list is looked at
    card.classList.toggle("left", isLeft)
    const name = isLeft ? `${choice ? words.now_decided : words.nothing} · ${id}` : id
    write(part(".name"), name)
    part(".name").title = name
    const becomes = choice === "relabel" ? label : suggested
    write(part(".old"), this.nameOf(old))
    part(".change").title = becomes === old ? this.nameOf(old) : `${this.nameOf(old)} → ${this.nameOf(becomes)}`
    write(part(".becomes"), becomes === old ? "" : this.nameOf(becomes))
    part(".to").hidden = becomes === old
    write(part(".facts"), facts)
    const shown = this.cards[row] ?? {}
    const image = part("img")
    image.hidden = !shown.image
    if (shown.image && image.getAttribute("src") !== shown.image) image.src = shown.image
    if (!shown.image) image.removeAttribute("src")
    const isKnown = row in this.cards
    const text = shown.image || !isKnown ? "" : [shown.text, shown.problem].filter(Boolean).join(" ") || words.why_short
    write(part(".text"), text)
    part(".story").classList.toggle("written", !shown.image && !!shown.text)
    part(".story").classList.toggle("bare", isKnown && !shown.image && !shown.text && !shown.problem)
    part(".story").title = shown.text || words.why
    part(".story").setAttribute("aria-label", `${words.why}: ${row}`)
    for (const one of CHOICES) part(`[data-choice=${one}]`).setAttribute("aria-pressed", one === choice)
    other.setAttribute("aria-label", words.other_of.replace("{row}", row))
    const value = this.newLabel(row)
    if (other.localName === "select" && value && ![...other.options].some(one => one.value === value)) {
      other.append(new Option(this.nameOf(label), value))
    }
    if (!other.pending) other.value = value
  }
}

// What was stored, by this tab or by an earlier visit; whatever else stands there is nothing of ours.

const ofThisTab = data => {
  const kept = parsed(`${KEY} ${data.dump}`)
  if (!Array.isArray(kept?.entries)) return null
  const files = kept.files && typeof kept.files === "object" ? kept.files : {}
  return { generation: kept.generation, entries: checked(kept.entries, data), files, undone: unpacked(kept.undone, data) }
}

const ofThisBrowser = data => {
  const kept = parsed(`${KEY} ${data.dump}`, "localStorage")
  return Array.isArray(kept?.entries) ? checked(kept.entries, data) : null
}

const parsed = (key, storage = "sessionStorage") => {
  try {
    return JSON.parse(window[storage].getItem(key))
  } catch {
    return null // storage is switched off, or holds something else
  }
}

// Entries are [row, choice, new label, time, old label]; one about another label is of another dump.
const checked = (entries, data) => {
  const olds = new Map(data.rows)
  const isClass = label => Number.isInteger(label) && label >= 0 && label < data.classes
  const isOurs = one => {
    if (!Array.isArray(one)) return false
    const [row, choice, label, time, old] = one
    const isAbout = old == null || !olds.has(row) || olds.get(row) === old
    const fits = choice === "relabel" ? isClass(label) : label === null
    return Number.isInteger(row) && row >= 0 && CHOICES.includes(choice) && fits && typeof time === "string" && isAbout
  }
  return entries.filter(isOurs).map(one => one.slice(0, 5)).slice(-data.most)
}

const mapped = entries => new Map(entries.map(([row, ...value]) => [row, value]))

const listed = decided => [...decided].map(([row, value]) => [row, ...value])

// The last steps back, as many as there is room for.
const packed = undone => {
  const steps = []
  let room = MOST_KEPT_UNDO
  for (let i = undone.length - 1; i >= 0 && room > 0; i--) {
    const step = undone[i]
    room -= step instanceof Map ? step.size + 1 : 1
    steps.unshift(step instanceof Map ? { all: listed(step) } : [step[0], step[1] ?? null])
  }
  return steps
}

const unpacked = (steps, data) => {
  const found = []
  for (const step of Array.isArray(steps) ? steps : []) {
    if (Array.isArray(step?.all)) found.push(mapped(checked(step.all, data)))
    else if (Array.isArray(step) && Number.isInteger(step[0])) {
      const [row, value] = step
      if (value === null) found.push([row, undefined])
      else if (Array.isArray(value)) for (const [, ...one] of checked([[row, ...value]], data)) found.push([row, one])
    }
  }
  return found.slice(-MOST_UNDO)
}

// Of the other dumps whose decisions this browser keeps, the latest first.
const otherDumps = key => {
  const keys = Object.keys(window.localStorage).filter(one => one.startsWith(`${KEY} `) && one !== key)
  const times = new Map(keys.map(one => [one, Number(parsed(one, "localStorage")?.at) || 0]))
  return keys.sort((one, other) => times.get(other) - times.get(one))
}

const setOrMakeRoom = (key, text) => {
  const others = []
  for (let isFirst = true; ; isFirst = false) {
    try {
      return window.localStorage.setItem(key, text)
    } catch (full) {
      if (isFirst) others.push(...otherDumps(key))
      if (!others.length) throw full
      window.localStorage.removeItem(others.pop())
    }
  }
}

const keyHint = key => {
  const hint = document.createElement("kbd")
  hint.textContent = key
  hint.setAttribute("aria-hidden", "true")
  return hint
}

const keyed = (button, text, key) => {
  button.replaceChildren(text, keyHint(key))
  button.setAttribute("aria-keyshortcuts", key)
}

const write = (node, text) => {
  if (node.textContent !== text) node.textContent = text
}
