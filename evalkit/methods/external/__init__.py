"""How a recipe's commands are filled in, run and read: programs outside evalkit, in environments of their own."""
