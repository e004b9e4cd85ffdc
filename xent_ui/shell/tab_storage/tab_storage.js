// Keeps what is on the table in this browser tab, and offers it to a session of the server that does not have it.
// data: {session, link, state}: the server's session, the address that the visit was opened with, and the table as text.
// There is one table for each link, and each entry of the tab's history remembers whose table it showed.
// So a link that is opened anew shows what it names; a reload and the back button bring back what it became.
// A server that loses the session is found out by the next click, which may lead to an entry that remembers nothing yet:
// the document itself knows whose table it showed last.
const KEY = "cross-entropy-explorer"

const read = link => {
  try {
    return JSON.parse(window.sessionStorage.getItem(`${KEY} ${link}`))
  } catch {
    return null // storage is switched off, or holds something else: there is nothing to offer
  }
}

const write = data => {
  const store = () => window.sessionStorage.setItem(`${KEY} ${data.link}`, JSON.stringify(data))
  try {
    store()
  } catch {
    try {
      // full: the table at hand is worth more than those of other links
      Object.keys(window.sessionStorage)
        .filter(key => key.startsWith(KEY))
        .forEach(key => window.sessionStorage.removeItem(key))
      store()
    } catch {
      // switched off: a reload will start afresh
    }
  }
}

export default function ({ data, setTriggerValue }) {
  const isNewSession = window.xentSession !== data.session
  const shown = window.history.state?.[KEY] ?? (isNewSession ? window.xentLink : undefined)
  window.xentSession = data.session
  if (isNewSession && (shown !== undefined || !data.link)) {
    const kept = read(shown ?? "")
    if (kept && kept.session !== data.session && kept.state !== data.state) {
      setTriggerValue("restored", kept.state)
      return
    }
  }
  if (shown !== data.link) {
    window.history.replaceState({ ...window.history.state, [KEY]: data.link }, "")
  }
  window.xentLink = data.link
  write(data)
}
