"""`python -m order_service`: one worker of OrderService."""
