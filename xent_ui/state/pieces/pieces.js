// What of a page follows an edit later: asked for a piece at a time, once the hand rests, and given up for the next edit.
//
// Every hand has its pace. Who steps each half second is not at rest in between: the pieces wait twice as long as this
// hand's last steps were apart, so that no step waits for a piece. A slower hand leaves time for them in between.
const REST_MS = 300 // the least without an edit until the pieces follow
const SLOW_MS = 900 // apart: between such steps all pieces have time
const BETWEEN_MS = 30 // from the arrival of a piece to the next
const MISSED_MS = 5000 // without a piece until it is asked for again

class Pieces {
  // ask(piece, number): sends the request; isBusy(): whether something more urgent is going on, or about to
  constructor({ ask, isBusy }) {
    Object.assign(this, { ask, isBusy, names: [], number: Date.now(), last: 0, apart: [], isOwed: false, next: 0 })
  }

  // The hand has moved: what is still to come waits until it rests again.
  moved() {
    const now = performance.now()
    this.apart = [...this.apart, now - this.last].slice(-3)
    this.last = now
    this.stop()
  }

  // A key that edits nothing yet.
  touched() {
    this.last = performance.now()
  }

  // There is something new: all of them have to follow.
  owe() {
    this.isOwed = true
    this.next = 0
  }

  // What is owed follows once the hand has rested.
  follow() {
    this.stop()
    if (this.isOwed) this.wait()
  }

  stop() {
    clearTimeout(this.timer)
    this.timer = null
  }

  wait() {
    const rest = Math.max(REST_MS, ...this.apart.filter(one => one < SLOW_MS).map(one => 2 * one))
    const left = rest - (performance.now() - this.last)
    if (left > 0 || this.isBusy()) this.timer = setTimeout(() => this.wait(), Math.max(left, 50))
    else this.request()
  }

  request() {
    const name = this.names[this.next]
    if (name === undefined) {
      this.isOwed = false
      return
    }
    this.number = Math.max(this.number + 1, Date.now())
    this.ask(name, this.number)
    const since = performance.now()
    const look = () => {
      const shown = document.querySelector(`p[data-piece="${name}"]`)?.dataset.number
      const hasCome = shown === String(this.number)
      if (!hasCome && performance.now() - since < MISSED_MS) this.timer = setTimeout(look, BETWEEN_MS)
      else {
        if (hasCome) this.next += 1 // else a busy server has left it out
        this.timer = setTimeout(() => this.wait(), BETWEEN_MS)
      }
    }
    this.timer = setTimeout(look, BETWEEN_MS)
  }
}

