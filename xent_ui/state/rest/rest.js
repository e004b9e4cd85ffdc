// The rest of a page follows an edit later: it is asked for once the hand rests, and given up for the next edit.
//
// Every hand has its pace. Who steps each half second is not at rest in between: the rest waits twice as long as this
// hand's last steps were apart, so that no step waits for it. A slower hand leaves time for it in between.
const REST_MS = 300 // the least without an edit until the rest follows
const SLOW_MS = 900 // apart: between such steps it has time
const LOOK_MS = 30 // between two looks whether it has come
const MISSED_MS = 5000 // until it is asked for again
const LEAVING_MS = 10_000, BACK_MS = 2000 // the longest until the page changes after a link, and after the back button

// Whoever has followed a link leaves this page as soon as the server has answered. A request in between would name this
// page again, and the browser would show neither.
const leaving = (window.crossEntropyLeaving ??= watchLinks())

function watchLinks() {
  const leaving = { from: null, until: 0 }
  const begin = milliseconds => Object.assign(leaving, { from: location.pathname, until: performance.now() + milliseconds })
  addEventListener("click", ({ target, ctrlKey, metaKey, shiftKey }) => {
    const link = target.closest?.("a[href]:not([target], [download])")
    const isOfAnotherPage = link?.origin === location.origin && link.pathname !== location.pathname
    if (isOfAnotherPage && !ctrlKey && !metaKey && !shiftKey) begin(LEAVING_MS)
  }, true)
  addEventListener("popstate", () => begin(BACK_MS))
  return leaving
}

function isLeaving() {
  return leaving.from === location.pathname && performance.now() < leaving.until
}

class Rest {
  // ask(number): sends the request; isBusy(): whether something more urgent is going on, or about to
  constructor({ ask, isBusy }) {
    Object.assign(this, { ask, isBusy, number: Date.now(), last: 0, apart: [], isOwed: false })
  }

  // The hand has moved: what is still to come waits until it rests again.
  moved() {
    const now = performance.now()
    this.apart = [...this.apart, now - this.last].slice(-3)
    this.last = now
    this.stop()
  }

  // Something else happens: a key that edits nothing yet, an answer that is being drawn.
  touched() {
    this.last = performance.now()
  }

  // There is something new, which the rest does not show yet.
  owe() {
    this.isOwed = true
  }

  follow() {
    this.stop()
    if (this.isOwed) this.wait()
  }

  stop() {
    clearTimeout(this.timer)
    this.timer = null
  }

  // Whether another request is being answered.
  isRunning() {
    return (document.querySelector("[data-testid=stApp]")?.getAttribute("data-test-script-state") ?? "notRunning") !== "notRunning"
  }

  wait() {
    const rest = Math.max(REST_MS, ...this.apart.filter(one => one < SLOW_MS).map(one => 2 * one))
    const left = rest - (performance.now() - this.last)
    if (left > 0 || this.isBusy() || this.isRunning() || isLeaving()) this.timer = setTimeout(() => this.wait(), Math.max(left, 50))
    else this.request()
  }

  request() {
    this.number = Math.max(this.number + 1, Date.now())
    this.ask(this.number)
    const since = performance.now()
    const look = () => {
      if (document.querySelector("p[data-rest]")?.dataset.rest === String(this.number)) this.isOwed = false
      else if (performance.now() - since < MISSED_MS) this.timer = setTimeout(look, LOOK_MS)
      else this.wait() // a busy server has left it out
    }
    this.timer = setTimeout(look, LOOK_MS)
  }
}

