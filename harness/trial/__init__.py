"""What is run: trials with their keys, and the declarations that they are made of."""
