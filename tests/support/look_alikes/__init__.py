"""Two users whose tokens differ in nothing but the id, and the cases that show that neither sees the other's things."""
