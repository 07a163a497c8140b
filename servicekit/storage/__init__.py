"""The storages of files that users upload: a folder, or a bucket of S3. Each keeps one kind of files."""
