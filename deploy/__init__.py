"""How the marketplace is put on machines."""
