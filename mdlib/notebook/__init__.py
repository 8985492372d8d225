"""A chapter: parsed, executed, shown as a page; what its run leaves behind."""
