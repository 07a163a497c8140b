"""OrderService's RPCs: proto in, proto out."""
