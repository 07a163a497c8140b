"""A marketplace under load while its parts are killed, every second another one; and then its books are read."""
