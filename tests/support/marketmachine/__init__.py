"""The state machine of the marketplace: its rules by what they are about, over one model."""
