// Watches the tables that a person types into, and asks the server for new numbers as soon as an edit is complete.
//
// Streamlit's editor sends an edit 150 ms after it; with on_change="ignore" it keeps it in the browser, and the next
// request of anyone carries it. Here is that request: when a cell closes, after a paste, a tick, a deletion.
// One request is in flight; what is edited meanwhile goes with the next. The rest of the page follows later.
// Keys that come while a cell opens or closes wait until it has: the grid would drop them. So do those that come while
// a table is drawn anew, which the grid would begin without a chosen cell: it gets the one that was chosen.
// In a cell opened by typing, the arrow down ends it as Enter does, as in a spreadsheet.

const LOST_MS = 5000 // without an answer until it is asked again
const HELD_MS = 3000 // the longest that a key waits for a cell to open or close
const AFTER_KEY_MS = 20, AFTER_POINTER_MS = 30, AFTER_PASTE_MS = 60 // until the grid has put an edit into its state
const MOVES = new Set(["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Tab", "Home", "End", "PageUp", "PageDown", "Escape"])
const MODIFIERS = new Set(["Shift", "Control", "Alt", "Meta", "CapsLock"])
const ENDS = new Set(["Enter", "Tab", "Escape"]) // of an open cell
const KEYS = ["logits", "target"] // of the containers of the tables
const CHOSEN = "[role=gridcell][aria-selected=true]"
const ENTER = { key: "Enter", code: "Enter", keyCode: 13, which: 13 }
// by how many columns and rows a key moves on, in the table or out of an open cell
const STEPS = { Enter: [0, 1], Tab: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }

export default function ({ data, setTriggerValue }) {
  const watch = (window.crossEntropyEditWatch ??= new Watch())
  watch.begin(data, setTriggerValue)
  return () => watch.end()
}

class Watch {
  constructor() {
    this.users = 0
    this.number = Date.now() // of the last request: larger than those of any page before
    this.flies = this.wanted = false
    this.held = []
    this.rest = new Rest({
      ask: number => this.ask("rested", { number }),
      isBusy: () => this.flies || this.wanted || !!this.openCell(),
    })
    addEventListener("keydown", event => this.onKey(event), true)
    addEventListener("focusin", event => this.onFocus(event), true)
    addEventListener("pointerdown", event => {
      this.note(event.target)
      this.wasClicked = true
      this.step = null
    }, true)
    addEventListener("pointerup", event => { if (this.isOn() && inTable(event.target)) this.soon(AFTER_POINTER_MS) }, true)
    for (const kind of ["paste", "cut"])
      addEventListener(kind, event => { if (this.isOn() && inTable(event.target)) this.soon(AFTER_PASTE_MS) }, true)
    document.addEventListener("matrices-drawn", ({ detail }) => this.answered(detail))
    this.channel = new MessageChannel()
    this.channel.port1.onmessage = () => setTimeout(() => this.release(), 2)
  }

  begin(data, ask) {
    const isSlowNow = data.is_slow && this.data?.is_slow === false
    this.users += 1
    this.data = data
    this.ask = ask
    this.rest.follow()
    if (isSlowNow) this.ask("edited", Date.now()) // what the editors have kept until now
    this.portal ??= document.querySelector("#portal") ?? document.querySelector("[data-testid=portal]")
    if (!this.portal && !data.is_slow) this.ask("slow", true)
    if (this.observer || !this.portal) return
    let wasOpen = false
    this.observer = new MutationObserver(() => {
      const isOpen = !!this.openCell()
      if (wasOpen && !isOpen) this.closed()
      wasOpen = isOpen
    })
    this.observer.observe(this.portal, { childList: true, subtree: true })
    new MutationObserver(() => this.chooseAgain()).observe(document.body, { childList: true, subtree: true })
  }

  // A cell has closed, with a text unless it was given up.
  closed() {
    if (!this.isGivenUp) this.hasEnded = true
    this.isTyped = this.isGivenUp = false
    if (this.isOn()) setTimeout(() => this.want())
  }

  // Which table is in use.
  note(target) {
    this.wasInTable = inTable(target)
    if (!this.wasInTable) return
    this.table = tableOf(target)
    this.tableKey = KEYS.find(key => target.closest(`.st-key-${key}`))
  }

  // A table that was drawn anew while it was in use has no chosen cell: the one of before is chosen again.
  chooseAgain() {
    const old = this.table
    if (!old || old.isConnected) return
    this.table = null
    const chosen = old.querySelector(CHOSEN)?.id
    if (!chosen || !this.isOn()) return
    // the hidden table tells of a move 200 ms after it
    const id = this.step?.from === chosen ? this.step.to : chosen
    this.wasClicked = false
    this.wait(() => {
      const active = document.activeElement
      const isHere = active === document.body || inTable(active) || this.portal.contains(active)
      if (this.wasClicked || !isHere) return true
      const cell = document.querySelector(`.st-key-${this.tableKey} [data-testid=stDataFrame] #${id}`)
      if (!cell) return false
      this.table = tableOf(cell)
      if (active !== cell) cell.focus({ preventScroll: true }) // twice: the first time, the grid chooses its first cell
      return this.table.querySelector(CHOSEN)?.id === id
    })
  }

  // Where a key leads from the chosen cell, which the hidden table may tell of late.
  noteStep({ key, shiftKey }) {
    const from = this.table?.querySelector(CHOSEN)?.id
    const step = STEPS[key]
    if (!from || !step) return void (this.step = null)
    const at = this.step?.from === from ? this.step.to : from
    const sign = key === "Tab" && shiftKey ? -1 : 1
    const [column, row] = at.split("-").slice(2).map((place, k) => Number(place) + sign * step[k])
    const to = `glide-cell-${column}-${row}`
    this.step = { from, to: this.table.querySelector(`#${to}`) ? to : at }
  }

  end() {
    this.users -= 1
    if (!this.users) this.rest.stop()
  }

  isOn() {
    return this.users > 0 && !this.data.is_slow
  }

  // Where the grid's open cell is not what is looked for here, edits would never be noticed: Streamlit's own way then.
  onFocus({ target }) {
    if (!this.isOn() || !this.wasInTable || !target.matches("textarea, input")) return
    const isKnown = this.openCell()?.contains(target) || inTable(target) || target.closest("[data-testid=stApp]")
    if (!isKnown) this.ask("slow", true)
  }

  // The request.

  soon(milliseconds) {
    setTimeout(() => { if (!this.openCell()) this.want() }, milliseconds)
  }

  want() {
    if (!this.isOn()) return
    this.wanted = true
    this.rest.moved()
    this.send()
  }

  send() {
    if (this.flies || !this.wanted || !this.isOn() || isLeaving()) return // the link's request carries the edit
    this.wanted = false
    this.flies = true
    this.number = Math.max(this.number + 1, Date.now())
    this.ask(this.hasEnded ? "ended" : "edited", this.number)
    this.hasEnded = false
    clearTimeout(this.lost)
    this.lost = setTimeout(() => {
      this.flies = false
      this.want()
    }, LOST_MS)
  }

  answered({ source, frame }) {
    if (!this.users || source !== this.data.source) return
    if (this.flies && frame.asked < this.number) return // an older one: the answer is still to come
    this.flies = false
    clearTimeout(this.lost)
    if (frame.changed) this.rest.owe()
    this.rest.touched()
    if (this.wanted) this.send()
    else this.rest.follow()
  }

  // Keys.

  openCell() {
    return this.portal?.querySelector(".gdg-clip-region")
  }

  box() {
    return this.openCell()?.querySelector("textarea, input")
  }

  onKey(event) {
    const { target, key } = event
    this.note(target)
    const isInCell = this.users > 0 && !!this.portal?.contains(target)
    if (this.isOn() && event.isTrusted && !event.isComposing && !MODIFIERS.has(key)) {
      this.rest.touched()
      if (this.until) {
        event.preventDefault()
        event.stopImmediatePropagation()
        this.held.push(event)
        return
      }
      if (this.leaves(event, target)) {
        event.preventDefault()
        event.stopImmediatePropagation()
        this.replay(ENTER)
        return
      }
      this.after(event, target)
    }
    // The grid sets a timer on each key in an open cell; one that is late would end the cell, after Enter, without its text.
    if (isInCell && !ENDS.has(key)) event.stopImmediatePropagation()
  }

  // Whether a letter opens a cell here: not in a table of boxes to tick, not without a chosen cell.
  opens(target) {
    const table = tableOf(target)
    return this.data.typed.some(key => table.closest(`.st-key-${key}`)) && !!table.querySelector("[role=gridcell][aria-selected=true]")
  }

  // Whether a key ends a cell that was opened by typing as Enter does, and is none of the grid's own.
  leaves(event, target) {
    return this.isTyped && target === this.box() && event.key === "ArrowDown" && isPlain(event)
  }

  // What has to come about before the next key can be taken.
  after(event, target) {
    const box = this.box()
    if (box && target === box) {
      if (event.key === "Escape") this.isGivenUp = true
      if (!ENDS.has(event.key)) return
      this.noteStep(event)
      this.wait(() => !this.openCell() && inTable(document.activeElement))
    } else if (inTable(target) && !this.openCell()) {
      if (MOVES.has(event.key)) this.noteStep(event)
      if (isText(event) && this.opens(target)) {
        this.isTyped = true
        this.wait(() => this.box() && document.activeElement === this.box())
      } else if (!MOVES.has(event.key)) this.soon(AFTER_KEY_MS)
    }
  }

  wait(test) {
    this.until = test
    this.since = performance.now()
    this.channel.port2.postMessage(0)
  }

  release() {
    if (!this.until) return
    if (!this.until() && performance.now() - this.since < HELD_MS) {
      this.channel.port2.postMessage(0)
      return
    }
    this.until = null
    while (this.held.length && !this.until) this.replay(this.held.shift())
  }

  replay(old) {
    const target = document.activeElement
    // an event of a script types nothing, and moves no caret
    if (target === this.box()) {
      if (this.leaves(old, target)) return this.replay(ENTER)
      const command = isText(old) ? "insertText" : { Backspace: "delete", Delete: "forwardDelete" }[old.key]
      if (command) return document.execCommand(command, false, old.key)
      if (moveCaret(target, old)) return
    }
    this.after(old, target)
    const { key, code, keyCode, which, shiftKey, ctrlKey, metaKey, altKey } = old
    target.dispatchEvent(new KeyboardEvent("keydown", { key, code, keyCode, which, shiftKey, ctrlKey, metaKey, altKey, bubbles: true, cancelable: true }))
  }
}

function isText({ key, ctrlKey, metaKey, altKey }) {
  return key.length === 1 && !ctrlKey && !metaKey && !altKey
}

function isPlain({ ctrlKey, metaKey, altKey, shiftKey }) {
  return !ctrlKey && !metaKey && !altKey && !shiftKey
}

// As the browser does for this key; false if it moves no caret.
function moveCaret(box, { key, shiftKey, ctrlKey, metaKey, altKey }) {
  const { selectionStart: start, selectionEnd: end, selectionDirection, value } = box
  const isBackward = selectionDirection === "backward"
  const caret = isBackward ? start : end, anchor = isBackward ? end : start
  const hasRange = start !== end && !shiftKey
  const to = {
    ArrowLeft: hasRange ? start : Math.max(caret - 1, 0),
    ArrowRight: hasRange ? end : Math.min(caret + 1, value.length),
    Home: 0,
    End: value.length,
  }[key]
  if (to === undefined || ctrlKey || metaKey || altKey) return false
  const other = shiftKey ? anchor : to
  box.setSelectionRange(Math.min(to, other), Math.max(to, other), to < other ? "backward" : "forward")
  return true
}

function tableOf(node) {
  return node?.closest?.("[data-testid=stDataFrame]")
}

function inTable(node) {
  return !!tableOf(node) && KEYS.some(key => node.closest(`.st-key-${key}`))
}
