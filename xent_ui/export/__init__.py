"""The page Export: the screen as a program, a file, a picture or a page; and a file onto the table."""
