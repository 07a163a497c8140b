"""Orders: what buyers bought, at which terms, and where each stands."""
