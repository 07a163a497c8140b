"""The process that takes uploads of pictures: it receives, decodes and stores them."""
