"""The state of a visit: the sheet as typed, the session that holds it, and the link that opens it."""
