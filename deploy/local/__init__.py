"""The local stack: the whole marketplace on one machine, for development.

`python -m deploy.local run`, which `make run` starts, is the foreground process (`run`). It checks the machine
(`preflight`), starts the processes under supervisord (`supervise`), waits until the edge answers, and stops everything
in order.
"""
