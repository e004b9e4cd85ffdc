// Watches the tables that a person types into, and asks the server for new numbers as soon as an edit is complete.
//
// Streamlit's editor sends an edit 150 ms after it; with on_change="ignore" it keeps it in the browser, and the next
// request of anyone carries it. Here is that request: when a cell closes, after a paste, a tick, a deletion.
// One request is in flight; what is edited meanwhile goes with the next. The rest of the page follows later.
// Keys that come while a cell opens or closes wait until it has: the grid would drop them.

const LOST_MS = 5000 // without an answer until it is asked again
const HELD_MS = 3000 // the longest that a key waits for a cell to open or close
const AFTER_KEY_MS = 20, AFTER_POINTER_MS = 30, AFTER_PASTE_MS = 60 // until the grid has put an edit into its state
const MOVES = new Set(["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Tab", "Home", "End", "PageUp", "PageDown", "Escape"])
const MODIFIERS = new Set(["Shift", "Control", "Alt", "Meta", "CapsLock"])
const ENDS = new Set(["Enter", "Tab", "Escape"]) // of an open cell

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
    addEventListener("pointerdown", event => { this.wasInTable = inTable(event.target) }, true)
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
      if (wasOpen && !isOpen && this.isOn()) setTimeout(() => this.want())
      wasOpen = isOpen
    })
    this.observer.observe(this.portal, { childList: true, subtree: true })
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
    this.ask("edited", this.number)
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
    this.wasInTable = inTable(target)
    const isInCell = this.users > 0 && !!this.portal?.contains(target)
    if (this.isOn() && event.isTrusted && !event.isComposing && !MODIFIERS.has(key)) {
      this.rest.touched()
      if (this.until) {
        event.preventDefault()
        event.stopImmediatePropagation()
        this.held.push(event)
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

  // What has to come about before the next key can be taken.
  after(event, target) {
    const box = this.box()
    if (box && target === box) {
      if (ENDS.has(event.key)) this.wait(() => !this.openCell() && inTable(document.activeElement))
    } else if (inTable(target) && !this.openCell()) {
      if (isText(event) && this.opens(target)) this.wait(() => this.box() && document.activeElement === this.box())
      else if (!MOVES.has(event.key)) this.soon(AFTER_KEY_MS)
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
    // an event of a script types nothing
    if (target === this.box() && (isText(old) || old.key === "Backspace")) {
      document.execCommand(isText(old) ? "insertText" : "delete", false, old.key)
      return
    }
    this.after(old, target)
    const { key, code, keyCode, which, shiftKey, ctrlKey, metaKey, altKey } = old
    target.dispatchEvent(new KeyboardEvent("keydown", { key, code, keyCode, which, shiftKey, ctrlKey, metaKey, altKey, bubbles: true, cancelable: true }))
  }
}

function isText({ key, ctrlKey, metaKey, altKey }) {
  return key.length === 1 && !ctrlKey && !metaKey && !altKey
}

function tableOf(node) {
  return node?.closest?.("[data-testid=stDataFrame]")
}

function inTable(node) {
  return !!tableOf(node)?.closest(".st-key-logits, .st-key-target")
}
