"""The marketplace on several hosts: the files of each host, rendered from one inventory."""
