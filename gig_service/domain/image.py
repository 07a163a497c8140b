"""The pictures of a gig: oldest first, and exactly one of them primary while there are any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

from servicekit.errors import Conflict, NotFound

if TYPE_CHECKING:  # a gig's page shows its images
    from gig_service.domain.gig import Gig


@dataclass(frozen=True, slots=True)
class NewImage:
    """A picture and its thumbnail, which are stored under these keys, before they are a gig's."""

    key: str
    thumbnail_key: str


@dataclass(frozen=True, slots=True)
class Image:
    """One picture of a gig. The keys are those of its files; the primary one stands for the gig."""

    id: UUID
    key: str
    thumbnail_key: str
    is_primary: bool


def check_image_room(gig: Gig, adding: int, limit: int) -> None:
    """Raises Conflict (LIMIT_REACHED) when the gig cannot take so many more images."""
    if gig.image_count + adding > limit:
        raise Conflict(f"A gig has at most {limit} images", code="LIMIT_REACHED")


def after_adding(images: Sequence[Image], added: Sequence[Image], *, first_is_primary: bool) -> list[Image]:
    """All images when `added` come behind the others. The first one ever is primary, asked for or not."""
    together = [*images, *added]
    if added and (first_is_primary or not images):
        return _with_primary(together, added[0].id)
    return together


def after_choosing(images: Sequence[Image], image_id: UUID) -> list[Image]:
    """All images when this one becomes primary. Raises NotFound when it is none of them."""
    _find(images, image_id)
    return _with_primary(images, image_id)


def after_removing(images: Sequence[Image], image_id: UUID) -> list[Image]:
    """The images without this one. The oldest follows a primary one. Raises NotFound when it is none of them."""
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
