"""How money is taken from buyers and given to sellers: one interface, and the providers behind it."""
