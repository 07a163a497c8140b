import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from marketplace.common.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Review(_message.Message):
    __slots__ = ("id", "order_id", "buyer", "rating", "comment", "created_at")
    class Buyer(_message.Message):
        __slots__ = ("id", "username")
        ID_FIELD_NUMBER: _ClassVar[int]
        USERNAME_FIELD_NUMBER: _ClassVar[int]
        id: str
        username: str
        def __init__(self, id: _Optional[str] = ..., username: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    BUYER_FIELD_NUMBER: _ClassVar[int]
    RATING_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    order_id: str
    buyer: Review.Buyer
    rating: int
    comment: str
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., order_id: _Optional[str] = ..., buyer: _Optional[_Union[Review.Buyer, _Mapping]] = ..., rating: _Optional[int] = ..., comment: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SubmitReviewRequest(_message.Message):
    __slots__ = ("order_id", "rating", "comment")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    RATING_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    order_id: str
    rating: int
    comment: str
    def __init__(self, order_id: _Optional[str] = ..., rating: _Optional[int] = ..., comment: _Optional[str] = ...) -> None: ...

class SubmitReviewResponse(_message.Message):
    __slots__ = ("review_id", "gig_id", "new_average_rating")
    REVIEW_ID_FIELD_NUMBER: _ClassVar[int]
    GIG_ID_FIELD_NUMBER: _ClassVar[int]
    NEW_AVERAGE_RATING_FIELD_NUMBER: _ClassVar[int]
    review_id: str
    gig_id: str
    new_average_rating: float
    def __init__(self, review_id: _Optional[str] = ..., gig_id: _Optional[str] = ..., new_average_rating: _Optional[float] = ...) -> None: ...

class ListReviewsRequest(_message.Message):
    __slots__ = ("gig_id", "page_size", "page_token")
    GIG_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    gig_id: str
    page_size: int
    page_token: str
    def __init__(self, gig_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListReviewsResponse(_message.Message):
    __slots__ = ("results", "total", "average_rating", "histogram", "next_page_token")
    class HistogramEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_RATING_FIELD_NUMBER: _ClassVar[int]
    HISTOGRAM_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[Review]
    total: int
    average_rating: float
    histogram: _containers.ScalarMap[int, int]
    next_page_token: str
    def __init__(self, results: _Optional[_Iterable[_Union[Review, _Mapping]]] = ..., total: _Optional[int] = ..., average_rating: _Optional[float] = ..., histogram: _Optional[_Mapping[int, int]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
