// Keeps what is on the table in this browser tab, and offers it to a session of the server that does not have it.
// data: {session, link, state}: the server's session, the preset its link names, and the table as text.
const KEY = "cross-entropy-explorer"

export default function ({ data, setTriggerValue }) {
  let kept = null
  try {
    kept = JSON.parse(window.sessionStorage.getItem(KEY))
  } catch {
    // storage is switched off, or holds something else: there is nothing to offer
  }
  const isNewSession = window.xentSession !== data.session
  window.xentSession = data.session
  if (isNewSession && kept && kept.session !== data.session && kept.state !== data.state) {
    const [navigation] = performance.getEntriesByType("navigation")
    const opensLink = data.link && navigation?.type === "navigate"
    if (kept.link === data.link && !opensLink) {
      setTriggerValue("restored", kept.state)
      return
    }
  }
  try {
    window.sessionStorage.setItem(KEY, JSON.stringify(data))
  } catch {
    // full or switched off: a reload will start afresh
  }
}
