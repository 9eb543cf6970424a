"""From what is stored to the cells of a table: what a table is, which runs belong in it, what is printed below it."""
