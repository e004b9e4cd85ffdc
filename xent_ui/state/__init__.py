"""What is on the table of one visit: the sheet as typed, the session that holds it, and the link that brings it."""
