"""The local stack: the whole marketplace on one machine, for development.

`python -m deploy.local.run`, which `make run` starts, is the foreground process. It loads supervisord, checks the
machine (`preflight`), has supervisord start the processes (`supervise`), waits until the edge answers, and stops
everything in order (`stack`). All else is a command of `python -m deploy.local`.
"""
