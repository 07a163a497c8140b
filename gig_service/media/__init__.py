"""The files of images: their kind and storage, what a decoder makes of a picture, and copies of them."""
