"""The files of images: where they are stored, and how they are deleted."""
