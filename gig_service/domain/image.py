"""The images of a gig: in the order of their adding, exactly one of them primary while there are any."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from servicekit.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True)
class Image:
    """One picture of a gig. `key` and `thumbnail_key` name its two files; searches show the primary image."""

    id: UUID
    key: str
    thumbnail_key: str
    is_primary: bool


def check_image_room(count: int, adding: int, limit: int) -> None:
    """Raise Conflict (LIMIT_REACHED) when `adding` more images beside these `count` are more than `limit`."""
    if count + adding > limit:
        raise Conflict(f"A gig has at most {limit} images", code="LIMIT_REACHED")


def after_adding(images: Sequence[Image], added: Sequence[Image], *, first_is_primary: bool) -> list[Image]:
    """Return all images after `added` came behind the others.

    The first of `added` becomes primary when `first_is_primary` is set or the gig had no images.
    """
    together = [*images, *added]
    if added and (first_is_primary or not images):
        return _with_primary(together, added[0].id)
    return together


def after_choosing(images: Sequence[Image], image_id: UUID) -> list[Image]:
    """Return all images after this one became primary. Raises NotFound when it is not among them."""
    _find(images, image_id)
    return _with_primary(images, image_id)


def after_removing(images: Sequence[Image], image_id: UUID) -> list[Image]:
    """Return the other images; the oldest takes the place of a primary one. Raises NotFound when it is not there."""
    removed = _find(images, image_id)
    left = [image for image in images if image.id != image_id]
    return _with_primary(left, left[0].id) if left and removed.is_primary else left


def _find(images: Sequence[Image], image_id: UUID) -> Image:
    for image in images:
        if image.id == image_id:
            return image
    raise NotFound("Image")


def _with_primary(images: Sequence[Image], image_id: UUID) -> list[Image]:
    return [replace(image, is_primary=image.id == image_id) for image in images]
