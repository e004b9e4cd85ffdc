"""What stands around every page: menu, share button, storage in the tab, cold start and warm-up."""
