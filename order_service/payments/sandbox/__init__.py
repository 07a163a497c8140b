"""The payment provider for development and tests."""
