"""The tables as peewee models."""

import peewee
from playhouse.postgres_ext import ArrayField, BinaryJSONField, TSVectorField


class SellerRow(peewee.Model):
    """A row of `sellers`."""

    id = peewee.UUIDField(primary_key=True)
    username = peewee.TextField()
    version = peewee.BigIntegerField()
    buyer_count = peewee.IntegerField()
    buyer_rating_sum = peewee.BigIntegerField()

    class Meta:
        table_name = "sellers"


class SellerReviewRow(peewee.Model):
    """A row of `seller_reviews`: the newest review that a buyer wrote of any gig of a seller."""

    seller_id = peewee.UUIDField()
    buyer_id = peewee.UUIDField()
    review_id = peewee.UUIDField()
    created_at = peewee.DateTimeField()
    stars = peewee.SmallIntegerField()

    class Meta:
        table_name = "seller_reviews"
        primary_key = peewee.CompositeKey("seller_id", "buyer_id")


class GigRow(peewee.Model):
    """A row of `gigs`; `deleted_at` is NULL until it is deleted; store/documents.py makes `document`."""

    id = peewee.UUIDField(primary_key=True)
    seller_id = peewee.UUIDField()
    title = peewee.TextField()
    description = peewee.TextField()
    category_id = peewee.UUIDField()
    tags = ArrayField(peewee.TextField)
    status = peewee.TextField()
    version = peewee.IntegerField()
    created_at = peewee.DateTimeField()
    updated_at = peewee.DateTimeField()
    deleted_at = peewee.DateTimeField(null=True)
    rating_version = peewee.BigIntegerField()
    review_count = peewee.IntegerField()
    rating_sum = peewee.BigIntegerField()
    rating = peewee.DecimalField(max_digits=2, decimal_places=1)
    thumbnail_key = peewee.TextField(default="")
    document = TSVectorField()

    class Meta:
        table_name = "gigs"


class PackageRow(peewee.Model):
    """A row of `packages`; `position` grows with every package that is added to the gig."""

    id = peewee.UUIDField(primary_key=True)
    gig_id = peewee.UUIDField()
    position = peewee.IntegerField()
    title = peewee.TextField()
    description = peewee.TextField()
    price = peewee.DecimalField(max_digits=9, decimal_places=2)
    delivery_days = peewee.SmallIntegerField()
    features = ArrayField(peewee.TextField)
    revisions = peewee.SmallIntegerField()
    extras = BinaryJSONField(index=False)

    class Meta:
        table_name = "packages"


class ImageRow(peewee.Model):
    """A row of `images`; `position` grows with every image that is added to the gig."""

    id = peewee.UUIDField(primary_key=True)
    gig_id = peewee.UUIDField()
    position = peewee.IntegerField()
    key = peewee.TextField()
    thumbnail_key = peewee.TextField()
    is_primary = peewee.BooleanField()

    class Meta:
        table_name = "images"
