from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    SELLER: _ClassVar[Role]
    BUYER: _ClassVar[Role]
    ADMIN: _ClassVar[Role]
    SERVICE: _ClassVar[Role]
ROLE_UNSPECIFIED: Role
SELLER: Role
BUYER: Role
ADMIN: Role
SERVICE: Role
ACCESS_FIELD_NUMBER: _ClassVar[int]
access: _descriptor.FieldDescriptor
SUCCESS_FIELD_NUMBER: _ClassVar[int]
success: _descriptor.FieldDescriptor
NORMALIZE_FIELD_NUMBER: _ClassVar[int]
normalize: _descriptor.FieldDescriptor

class Access(_message.Message):
    __slots__ = ("anyone", "signed_in", "roles")
    ANYONE_FIELD_NUMBER: _ClassVar[int]
    SIGNED_IN_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    anyone: bool
    signed_in: bool
    roles: _containers.RepeatedScalarFieldContainer[Role]
    def __init__(self, anyone: _Optional[bool] = ..., signed_in: _Optional[bool] = ..., roles: _Optional[_Iterable[_Union[Role, str]]] = ...) -> None: ...

class Success(_message.Message):
    __slots__ = ("http_status", "location")
    HTTP_STATUS_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    http_status: int
    location: str
    def __init__(self, http_status: _Optional[int] = ..., location: _Optional[str] = ...) -> None: ...

class Normalize(_message.Message):
    __slots__ = ("lower_case", "unique")
    LOWER_CASE_FIELD_NUMBER: _ClassVar[int]
    UNIQUE_FIELD_NUMBER: _ClassVar[int]
    lower_case: bool
    unique: bool
    def __init__(self, lower_case: _Optional[bool] = ..., unique: _Optional[bool] = ...) -> None: ...
