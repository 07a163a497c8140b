import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from marketplace.common.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Gig(_message.Message):
    __slots__ = ("id", "title", "description", "category_id", "tags", "status", "rating", "review_count", "seller", "packages", "images", "created_at", "updated_at")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[Gig.Status]
        ACTIVE: _ClassVar[Gig.Status]
        PAUSED: _ClassVar[Gig.Status]
        SUSPENDED: _ClassVar[Gig.Status]
    STATUS_UNSPECIFIED: Gig.Status
    ACTIVE: Gig.Status
    PAUSED: Gig.Status
    SUSPENDED: Gig.Status
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_ID_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RATING_FIELD_NUMBER: _ClassVar[int]
    REVIEW_COUNT_FIELD_NUMBER: _ClassVar[int]
    SELLER_FIELD_NUMBER: _ClassVar[int]
    PACKAGES_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    description: str
    category_id: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    status: Gig.Status
    rating: float
    review_count: int
    seller: Seller
    packages: _containers.RepeatedCompositeFieldContainer[Package]
    images: _containers.RepeatedCompositeFieldContainer[Image]
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., category_id: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., status: _Optional[_Union[Gig.Status, str]] = ..., rating: _Optional[float] = ..., review_count: _Optional[int] = ..., seller: _Optional[_Union[Seller, _Mapping]] = ..., packages: _Optional[_Iterable[_Union[Package, _Mapping]]] = ..., images: _Optional[_Iterable[_Union[Image, _Mapping]]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Seller(_message.Message):
    __slots__ = ("id", "username", "badges")
    ID_FIELD_NUMBER: _ClassVar[int]
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    BADGES_FIELD_NUMBER: _ClassVar[int]
    id: str
    username: str
    badges: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., username: _Optional[str] = ..., badges: _Optional[_Iterable[str]] = ...) -> None: ...

class Package(_message.Message):
    __slots__ = ("id", "title", "description", "price", "delivery_days", "features", "revisions")
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_DAYS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    description: str
    price: float
    delivery_days: int
    features: _containers.RepeatedScalarFieldContainer[str]
    revisions: int
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., price: _Optional[float] = ..., delivery_days: _Optional[int] = ..., features: _Optional[_Iterable[str]] = ..., revisions: _Optional[int] = ...) -> None: ...

class Image(_message.Message):
    __slots__ = ("id", "url", "thumbnail_url", "is_primary")
    ID_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    THUMBNAIL_URL_FIELD_NUMBER: _ClassVar[int]
    IS_PRIMARY_FIELD_NUMBER: _ClassVar[int]
    id: str
    url: str
    thumbnail_url: str
    is_primary: bool
    def __init__(self, id: _Optional[str] = ..., url: _Optional[str] = ..., thumbnail_url: _Optional[str] = ..., is_primary: _Optional[bool] = ...) -> None: ...

class Category(_message.Message):
    __slots__ = ("id", "slug", "name", "parent_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    SLUG_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARENT_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    slug: str
    name: str
    parent_id: str
    def __init__(self, id: _Optional[str] = ..., slug: _Optional[str] = ..., name: _Optional[str] = ..., parent_id: _Optional[str] = ...) -> None: ...

class PackageInput(_message.Message):
    __slots__ = ("title", "description", "price", "delivery_days", "features", "revisions")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_DAYS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    title: str
    description: str
    price: float
    delivery_days: int
    features: _containers.RepeatedScalarFieldContainer[str]
    revisions: int
    def __init__(self, title: _Optional[str] = ..., description: _Optional[str] = ..., price: _Optional[float] = ..., delivery_days: _Optional[int] = ..., features: _Optional[_Iterable[str]] = ..., revisions: _Optional[int] = ...) -> None: ...

class CreateGigRequest(_message.Message):
    __slots__ = ("title", "description", "category_id", "tags", "packages")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_ID_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    PACKAGES_FIELD_NUMBER: _ClassVar[int]
    title: str
    description: str
    category_id: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    packages: _containers.RepeatedCompositeFieldContainer[PackageInput]
    def __init__(self, title: _Optional[str] = ..., description: _Optional[str] = ..., category_id: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., packages: _Optional[_Iterable[_Union[PackageInput, _Mapping]]] = ...) -> None: ...

class CreateGigResponse(_message.Message):
    __slots__ = ("id", "title", "seller_id", "status", "created_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    SELLER_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    seller_id: str
    status: Gig.Status
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., seller_id: _Optional[str] = ..., status: _Optional[_Union[Gig.Status, str]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetGigRequest(_message.Message):
    __slots__ = ("gig_id",)
    GIG_ID_FIELD_NUMBER: _ClassVar[int]
    gig_id: str
    def __init__(self, gig_id: _Optional[str] = ...) -> None: ...

class GetGigResponse(_message.Message):
    __slots__ = ("gig",)
    GIG_FIELD_NUMBER: _ClassVar[int]
    gig: Gig
    def __init__(self, gig: _Optional[_Union[Gig, _Mapping]] = ...) -> None: ...

class UpdateGigRequest(_message.Message):
    __slots__ = ("gig_id", "title", "description", "category_id", "tags")
    GIG_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_ID_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    gig_id: str
    title: str
    description: str
    category_id: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, gig_id: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., category_id: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ...) -> None: ...

class UpdateGigResponse(_message.Message):
    __slots__ = ("gig",)
    GIG_FIELD_NUMBER: _ClassVar[int]
    gig: Gig
    def __init__(self, gig: _Optional[_Union[Gig, _Mapping]] = ...) -> None: ...

class DeleteGigRequest(_message.Message):
    __slots__ = ("gig_id",)
    GIG_ID_FIELD_NUMBER: _ClassVar[int]
    gig_id: str
    def __init__(self, gig_id: _Optional[str] = ...) -> None: ...

class DeleteGigResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SearchGigsRequest(_message.Message):
    __slots__ = ("category", "min_price", "max_price", "max_delivery_days", "q", "tags", "min_rating", "seller_id", "status", "sort", "page_size", "page_token")
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    MIN_PRICE_FIELD_NUMBER: _ClassVar[int]
    MAX_PRICE_FIELD_NUMBER: _ClassVar[int]
    MAX_DELIVERY_DAYS_FIELD_NUMBER: _ClassVar[int]
    Q_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    MIN_RATING_FIELD_NUMBER: _ClassVar[int]
    SELLER_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SORT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    category: str
    min_price: float
    max_price: float
    max_delivery_days: int
    q: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    min_rating: float
    seller_id: str
    status: Gig.Status
    sort: str
    page_size: int
    page_token: str
    def __init__(self, category: _Optional[str] = ..., min_price: _Optional[float] = ..., max_price: _Optional[float] = ..., max_delivery_days: _Optional[int] = ..., q: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., min_rating: _Optional[float] = ..., seller_id: _Optional[str] = ..., status: _Optional[_Union[Gig.Status, str]] = ..., sort: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class GigSummary(_message.Message):
    __slots__ = ("id", "title", "starting_price", "rating", "review_count", "seller", "thumbnail")
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    STARTING_PRICE_FIELD_NUMBER: _ClassVar[int]
    RATING_FIELD_NUMBER: _ClassVar[int]
    REVIEW_COUNT_FIELD_NUMBER: _ClassVar[int]
    SELLER_FIELD_NUMBER: _ClassVar[int]
    THUMBNAIL_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    starting_price: float
    rating: float
    review_count: int
    seller: Seller
    thumbnail: str
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., starting_price: _Optional[float] = ..., rating: _Optional[float] = ..., review_count: _Optional[int] = ..., seller: _Optional[_Union[Seller, _Mapping]] = ..., thumbnail: _Optional[str] = ...) -> None: ...

class SearchGigsResponse(_message.Message):
    __slots__ = ("results", "total", "total_is_estimate", "next_page_token")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    TOTAL_IS_ESTIMATE_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[GigSummary]
    total: int
    total_is_estimate: bool
    next_page_token: str
    def __init__(self, results: _Optional[_Iterable[_Union[GigSummary, _Mapping]]] = ..., total: _Optional[int] = ..., total_is_estimate: _Optional[bool] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SetGigStatusRequest(_message.Message):
    __slots__ = ("gig_id", "status")
    GIG_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    gig_id: str
    status: Gig.Status
    def __init__(self, gig_id: _Optional[str] = ..., status: _Optional[_Union[Gig.Status, str]] = ...) -> None: ...

class SetGigStatusResponse(_message.Message):
    __slots__ = ("id", "status")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    id: str
    status: Gig.Status
    def __init__(self, id: _Optional[str] = ..., status: _Optional[_Union[Gig.Status, str]] = ...) -> None: ...

class ListPackagesRequest(_message.Message):
    __slots__ = ("gig_id",)
    GIG_ID_FIELD_NUMBER: _ClassVar[int]
    gig_id: str
    def __init__(self, gig_id: _Optional[str] = ...) -> None: ...

class ListPackagesResponse(_message.Message):
    __slots__ = ("packages",)
    PACKAGES_FIELD_NUMBER: _ClassVar[int]
    packages: _containers.RepeatedCompositeFieldContainer[Package]
    def __init__(self, packages: _Optional[_Iterable[_Union[Package, _Mapping]]] = ...) -> None: ...

class AddPackageRequest(_message.Message):
    __slots__ = ("gig_id", "title", "description", "price", "delivery_days", "features", "revisions")
    GIG_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_DAYS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    gig_id: str
    title: str
    description: str
    price: float
    delivery_days: int
    features: _containers.RepeatedScalarFieldContainer[str]
    revisions: int
    def __init__(self, gig_id: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., price: _Optional[float] = ..., delivery_days: _Optional[int] = ..., features: _Optional[_Iterable[str]] = ..., revisions: _Optional[int] = ...) -> None: ...

class AddPackageResponse(_message.Message):
    __slots__ = ("id", "gig_id", "title")
    ID_FIELD_NUMBER: _ClassVar[int]
    GIG_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    id: str
    gig_id: str
    title: str
    def __init__(self, id: _Optional[str] = ..., gig_id: _Optional[str] = ..., title: _Optional[str] = ...) -> None: ...

class UpdatePackageRequest(_message.Message):
    __slots__ = ("gig_id", "package_id", "title", "description", "price", "delivery_days", "features", "revisions")
    GIG_ID_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_DAYS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    gig_id: str
    package_id: str
    title: str
    description: str
    price: float
    delivery_days: int
    features: _containers.RepeatedScalarFieldContainer[str]
    revisions: int
    def __init__(self, gig_id: _Optional[str] = ..., package_id: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., price: _Optional[float] = ..., delivery_days: _Optional[int] = ..., features: _Optional[_Iterable[str]] = ..., revisions: _Optional[int] = ...) -> None: ...

class UpdatePackageResponse(_message.Message):
    __slots__ = ("package",)
    PACKAGE_FIELD_NUMBER: _ClassVar[int]
    package: Package
    def __init__(self, package: _Optional[_Union[Package, _Mapping]] = ...) -> None: ...

class DeletePackageRequest(_message.Message):
    __slots__ = ("gig_id", "package_id")
    GIG_ID_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_ID_FIELD_NUMBER: _ClassVar[int]
    gig_id: str
    package_id: str
    def __init__(self, gig_id: _Optional[str] = ..., package_id: _Optional[str] = ...) -> None: ...

class DeletePackageResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListCategoriesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListCategoriesResponse(_message.Message):
    __slots__ = ("categories",)
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    categories: _containers.RepeatedCompositeFieldContainer[Category]
    def __init__(self, categories: _Optional[_Iterable[_Union[Category, _Mapping]]] = ...) -> None: ...

class GetOfferRequest(_message.Message):
    __slots__ = ("package_id",)
    PACKAGE_ID_FIELD_NUMBER: _ClassVar[int]
    package_id: str
    def __init__(self, package_id: _Optional[str] = ...) -> None: ...

class GetOfferResponse(_message.Message):
    __slots__ = ("package_id", "package_title", "gig_id", "gig_title", "seller_id", "price", "delivery_days", "revisions")
    PACKAGE_ID_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_TITLE_FIELD_NUMBER: _ClassVar[int]
    GIG_ID_FIELD_NUMBER: _ClassVar[int]
    GIG_TITLE_FIELD_NUMBER: _ClassVar[int]
    SELLER_ID_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_DAYS_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    package_id: str
    package_title: str
    gig_id: str
    gig_title: str
    seller_id: str
    price: float
    delivery_days: int
    revisions: int
    def __init__(self, package_id: _Optional[str] = ..., package_title: _Optional[str] = ..., gig_id: _Optional[str] = ..., gig_title: _Optional[str] = ..., seller_id: _Optional[str] = ..., price: _Optional[float] = ..., delivery_days: _Optional[int] = ..., revisions: _Optional[int] = ...) -> None: ...

class DescribeGigRequest(_message.Message):
    __slots__ = ("gig_id",)
    GIG_ID_FIELD_NUMBER: _ClassVar[int]
    gig_id: str
    def __init__(self, gig_id: _Optional[str] = ...) -> None: ...

class DescribeGigResponse(_message.Message):
    __slots__ = ("gig_id", "seller_id", "status")
    GIG_ID_FIELD_NUMBER: _ClassVar[int]
    SELLER_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    gig_id: str
    seller_id: str
    status: Gig.Status
    def __init__(self, gig_id: _Optional[str] = ..., seller_id: _Optional[str] = ..., status: _Optional[_Union[Gig.Status, str]] = ...) -> None: ...

class ApplyRatingRequest(_message.Message):
    __slots__ = ("gig_id", "version", "review_count", "rating_sum")
    GIG_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REVIEW_COUNT_FIELD_NUMBER: _ClassVar[int]
    RATING_SUM_FIELD_NUMBER: _ClassVar[int]
    gig_id: str
    version: int
    review_count: int
    rating_sum: int
    def __init__(self, gig_id: _Optional[str] = ..., version: _Optional[int] = ..., review_count: _Optional[int] = ..., rating_sum: _Optional[int] = ...) -> None: ...

class ApplyRatingResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
