"""Calls to the receivers of webhooks: whose turn it is, which address is called, and with which signature."""
