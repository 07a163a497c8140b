from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.rpc import code_pb2 as _code_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
SPEC_FIELD_NUMBER: _ClassVar[int]
spec: _descriptor.FieldDescriptor

class Error(_message.Message):
    __slots__ = ()
    class Code(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CODE_UNSPECIFIED: _ClassVar[Error.Code]
        INVALID_ARGUMENT: _ClassVar[Error.Code]
        UNAUTHORIZED: _ClassVar[Error.Code]
        PAYMENT_DECLINED: _ClassVar[Error.Code]
        PAYMENT_ACTION_REQUIRED: _ClassVar[Error.Code]
        FORBIDDEN: _ClassVar[Error.Code]
        NOT_FOUND: _ClassVar[Error.Code]
        METHOD_NOT_ALLOWED: _ClassVar[Error.Code]
        CONFLICT: _ClassVar[Error.Code]
        LIMIT_REACHED: _ClassVar[Error.Code]
        INVALID_TRANSITION: _ClassVar[Error.Code]
        INSUFFICIENT_BALANCE: _ClassVar[Error.Code]
        PAYOUT_ACCOUNT_MISSING: _ClassVar[Error.Code]
        ORDER_NOT_DELIVERED: _ClassVar[Error.Code]
        ALREADY_REVIEWED: _ClassVar[Error.Code]
        ALREADY_REPLIED: _ClassVar[Error.Code]
        PRECONDITION_FAILED: _ClassVar[Error.Code]
        PAYLOAD_TOO_LARGE: _ClassVar[Error.Code]
        UNSUPPORTED_MEDIA_TYPE: _ClassVar[Error.Code]
        IDEMPOTENCY_KEY_REUSED: _ClassVar[Error.Code]
        UPGRADE_REQUIRED: _ClassVar[Error.Code]
        RATE_LIMITED: _ClassVar[Error.Code]
        HEADERS_TOO_LARGE: _ClassVar[Error.Code]
        INTERNAL: _ClassVar[Error.Code]
        UNAVAILABLE: _ClassVar[Error.Code]
        DEADLINE_EXCEEDED: _ClassVar[Error.Code]
    CODE_UNSPECIFIED: Error.Code
    INVALID_ARGUMENT: Error.Code
    UNAUTHORIZED: Error.Code
    PAYMENT_DECLINED: Error.Code
    PAYMENT_ACTION_REQUIRED: Error.Code
    FORBIDDEN: Error.Code
    NOT_FOUND: Error.Code
    METHOD_NOT_ALLOWED: Error.Code
    CONFLICT: Error.Code
    LIMIT_REACHED: Error.Code
    INVALID_TRANSITION: Error.Code
    INSUFFICIENT_BALANCE: Error.Code
    PAYOUT_ACCOUNT_MISSING: Error.Code
    ORDER_NOT_DELIVERED: Error.Code
    ALREADY_REVIEWED: Error.Code
    ALREADY_REPLIED: Error.Code
    PRECONDITION_FAILED: Error.Code
    PAYLOAD_TOO_LARGE: Error.Code
    UNSUPPORTED_MEDIA_TYPE: Error.Code
    IDEMPOTENCY_KEY_REUSED: Error.Code
    UPGRADE_REQUIRED: Error.Code
    RATE_LIMITED: Error.Code
    HEADERS_TOO_LARGE: Error.Code
    INTERNAL: Error.Code
    UNAVAILABLE: Error.Code
    DEADLINE_EXCEEDED: Error.Code
    def __init__(self) -> None: ...

class ErrorSpec(_message.Message):
    __slots__ = ("grpc", "http", "text")
    GRPC_FIELD_NUMBER: _ClassVar[int]
    HTTP_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    grpc: _code_pb2.Code
    http: int
    text: str
    def __init__(self, grpc: _Optional[_Union[_code_pb2.Code, str]] = ..., http: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...
