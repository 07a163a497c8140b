"""The payment providers behind one interface, `gateway.py`."""
