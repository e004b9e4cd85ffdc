"""What surrounds every page: sharing, the copy in the browser tab, the first start, warming up, reconnecting."""
