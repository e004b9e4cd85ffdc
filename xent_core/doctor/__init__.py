"""The doctor: what is wrong with logits and labels, in words, with the fix; `diagnose` is the call to make."""
