"""What is on screen: a package for each page, and the rooms that pages share."""
