"""The whole marketplace on one machine, for development: what `make run` starts.

`python -m deploy.local run` is the foreground process. It checks the machine (`preflight`), hands the parts to
supervisord (`supervise`), waits until the edge answers and stops everything in order (`run`, `stop`).
"""
