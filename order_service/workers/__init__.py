"""The periodic tasks and outbox deliveries of a worker. Each calls the commands that the servicer calls."""
