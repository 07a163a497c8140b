"""Settings of an OrderService process."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, ClassVar, Self

from cryptography.fernet import Fernet
from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from order_service.domain.attempt import AttemptLimits
from order_service.domain.currency import check_currency
from order_service.domain.file_scanner import check_scanner
from order_service.domain.lifecycle import Timeouts
from order_service.domain.limits import Limit, LimitKind, Limits
from order_service.domain.payment import Provider
from order_service.domain.reminders import Leads
from servicekit.settings import CallingSettings, ServiceSettings, Workers
from servicekit.storage.settings import StorageSettings


def _check_keys(keys: SecretStr) -> SecretStr:
    # The message must not contain a key.
    for key in keys.get_secret_value().split(","):
        try:
            Fernet(key.strip())
        except ValueError:
            raise ValueError("each key must be 32 random bytes in URL-safe base64") from None
    return keys


class PaymentSettings(BaseSettings):
    """The settings of orders and payments: OrderService's database, and the payment provider."""

    model_config = SettingsConfigDict(extra="ignore")

    order_database_url: str = Field(description="OrderService's database: a libpq URL.")
    currency: Annotated[str, AfterValidator(check_currency)] = Field(
        "USD", description="The deployment's one currency: ISO 4217, with two decimals."
    )
    # Without a default, so that a missing setting never makes orders free.
    payments: Provider = Field(description="Who handles payments: `stripe`, or `sandbox`, which moves no money.")
    sandbox_database_url: str | None = Field(
        None, description="With PAYMENTS=sandbox: where the sandbox keeps its own book, a libpq URL."
    )
    stripe_api_key: SecretStr | None = Field(None, description="With PAYMENTS=stripe: the secret key.")
    stripe_webhook_secret: SecretStr | None = Field(
        None, description="With PAYMENTS=stripe: what its webhooks are signed with."
    )
    stripe_api_base: str | None = Field(None, description="Another address for Stripe's API, for tests.")

    @model_validator(mode="after")
    def _a_provider_with_what_it_needs(self) -> Self:
        needed: dict[str, object] = {"SANDBOX_DATABASE_URL": self.sandbox_database_url}
        if self.payments is Provider.STRIPE:
            needed = {"STRIPE_API_KEY": self.stripe_api_key, "STRIPE_WEBHOOK_SECRET": self.stripe_webhook_secret}
        missing = [name for name, value in needed.items() if not value]
        if missing:
            raise ValueError(f"PAYMENTS={self.payments} needs {' and '.join(missing)}")
        return self

    @property
    def stripe_keys(self) -> tuple[str, str] | None:
        """The API key and the secret of the webhooks; None where Stripe is not the provider."""
        if self.payments is not Provider.STRIPE or not (self.stripe_api_key and self.stripe_webhook_secret):
            return None
        return self.stripe_api_key.get_secret_value(), self.stripe_webhook_secret.get_secret_value()


class TimeoutSettings(BaseSettings):
    """The timeouts of orders: what people may do with an order depends on them."""

    # At most six days: a card authorization lasts about seven.
    order_expire_hours: int = Field(
        48, ge=1, le=144, description="Hours after its placing at which an order that is still PENDING is CANCELLED."
    )
    order_auto_complete_hours: int = Field(
        72,
        ge=1,
        le=8760,
        description="Hours after the last delivery at which a DELIVERED order is COMPLETED by itself.",
    )
    order_abandon_days: int = Field(
        30, ge=1, le=365, description="Days after its due date at which an order still IN_PROGRESS is CANCELLED."
    )

    @property
    def timeouts(self) -> Timeouts:
        """The timeouts of orders."""
        return Timeouts(
            answer=timedelta(hours=self.order_expire_hours),
            approval=timedelta(hours=self.order_auto_complete_hours),
            overdue=timedelta(days=self.order_abandon_days),
        )


class Settings(PaymentSettings, TimeoutSettings, CallingSettings):
    """The settings of an OrderService worker."""

    program: ClassVar[str] = "order"

    gig_service_addresses: Workers = Field(
        description="The workers of GigService: host:port,host:port, or one name for all."
    )
    commission_percent: Decimal = Field(
        Decimal(10),
        ge=0,
        le=100,
        decimal_places=2,
        description="The marketplace's share of each sale, in percent; an order keeps the one of its placing.",
    )
    order_expiring_hours: int = Field(
        12, ge=0, le=144, description="Hours before a PENDING order expires at which its sides are reminded; 0: never."
    )
    order_due_soon_hours: int = Field(
        24,
        ge=0,
        le=8760,
        description="Hours before its due date at which the sides of an order IN_PROGRESS are reminded; 0: never.",
    )
    order_auto_completing_hours: int = Field(
        24,
        ge=0,
        le=8760,
        description="Hours before a DELIVERED order is COMPLETED by itself at which its sides are reminded; 0: never.",
    )
    # At most twenty hours: Stripe may forget a payment's idempotency key after a day.
    payment_attempt_minutes: int = Field(
        60,
        ge=1,
        le=1200,
        description="Minutes after which a placing is voided and given up, when the payment provider has not answered.",
    )
    payment_confirmation_minutes: int = Field(
        15,
        ge=1,
        le=1200,
        description="Minutes that a buyer has to confirm a card's payment; then it is voided.",
    )
    payment_calls: int = Field(
        16,
        ge=1,
        le=256,
        description="Calls to the payment provider that a worker makes at once for clients; as many wait for a place, "
        "more are refused as UNAVAILABLE.",
    )

    messages_per_minute: int = Field(
        30,
        ge=1,
        le=10_000,
        description="Messages and offers that a user may send at once, and that come back within a minute.",
    )
    conversations_per_hour: int = Field(
        10,
        ge=1,
        le=10_000,
        description="Conversations that a user may start at once, and that come back within an hour.",
    )

    webhook_keys: Annotated[SecretStr, AfterValidator(_check_keys)] = Field(
        description="The keys that encrypt the secrets of webhook endpoints, comma separated: the first one encrypts, "
        "all decrypt. Each is 32 random bytes in URL-safe base64.",
    )
    webhook_allow_private: bool = Field(
        False,
        description="Whether webhooks may be sent over plain HTTP and to addresses that are not public: for "
        "development and tests.",
    )

    @property
    def webhook_key_list(self) -> list[str]:
        """The keys of the secrets of webhook endpoints; the first one encrypts."""
        return [key.strip() for key in self.webhook_keys.get_secret_value().split(",")]

    @property
    def limits(self) -> Limits:
        """How much a user may write."""
        return {
            LimitKind.MESSAGE: Limit(self.messages_per_minute, timedelta(minutes=1)),
            LimitKind.CONVERSATION: Limit(self.conversations_per_hour, timedelta(hours=1)),
        }

    @property
    def attempt_limits(self) -> AttemptLimits:
        """How long a placing stays open."""
        return AttemptLimits(
            timedelta(minutes=self.payment_attempt_minutes), timedelta(minutes=self.payment_confirmation_minutes)
        )

    @property
    def leads(self) -> Leads:
        """How long before its moment each reminder of an order comes."""
        return Leads(
            expiring=timedelta(hours=self.order_expiring_hours),
            due_soon=timedelta(hours=self.order_due_soon_hours),
            auto_completing=timedelta(hours=self.order_auto_completing_hours),
        )


class FileStorageSettings(StorageSettings):
    """Where files that people send each other are stored: never where pictures are, which anyone may read."""

    files_dir: Path | None = Field(None, description="The folder of files; another one than MEDIA_DIR, and private.")
    files_s3_bucket: str | None = Field(
        None, description="The bucket of files; another one than S3_BUCKET, and private."
    )

    @model_validator(mode="after")
    def _a_place_of_their_own(self) -> Self:
        if self.media_storage == "folder" and self.files_dir is None:
            raise ValueError("MEDIA_STORAGE=folder needs FILES_DIR")
        if self.media_storage == "s3" and not self.files_s3_bucket:
            raise ValueError("MEDIA_STORAGE=s3 needs FILES_S3_BUCKET")
        if self.media_storage == "s3" and self.files_s3_bucket == self.s3_bucket:
            raise ValueError("FILES_S3_BUCKET must be another bucket than S3_BUCKET, which anyone may read")
        return self


class EventSettings(FileStorageSettings, TimeoutSettings, ServiceSettings):
    """The settings of the process of watches and the feed."""

    program: ClassVar[str] = "order-events"

    order_database_url: str = Field(description="OrderService's database: a libpq URL.")
    max_concurrent_rpcs: int = Field(
        12_000, ge=1, description="Calls that the process accepts at once, refused watches included."
    )
    watch_minutes: int = Field(
        60, ge=1, le=1440, description="Minutes after which a watch ends; its client resumes it."
    )
    watches_per_user: int = Field(
        20, ge=1, description="Watches of one user at once in a process; further ones are RATE_LIMITED."
    )
    watches: int = Field(10_000, ge=1, description="Watches at once in a process; further ones are UNAVAILABLE.")
    file_max_mib: int = Field(50, ge=1, le=500, description="MiB that an uploaded file can have.")
    file_uploads: int = Field(
        200, ge=1, description="Uploads of files under way at once; further ones are UNAVAILABLE."
    )
    file_uploads_per_user: int = Field(
        10, ge=1, description="Uploads of files of one user under way at once; further ones are RATE_LIMITED."
    )
    file_upload_min_rate: int = Field(
        1024, ge=1, description="Bytes a second that an upload of a file must have on average, after 20 seconds."
    )
    file_downloads: int = Field(
        1000, ge=1, description="Downloads of files under way at once; further ones are UNAVAILABLE."
    )
    file_downloads_per_user: int = Field(
        20, ge=1, description="Downloads of files of one user under way at once; further ones are RATE_LIMITED."
    )
    file_upload_dir: Path | None = Field(
        None, description="The folder where uploads of files lie while they come in; a temporary one by default."
    )
    file_scanner: Annotated[str, AfterValidator(check_scanner)] = Field(
        "",
        description="What looks at each file before it can be sent: the path or `host:port` of a clamd, or `command:` "
        "and a command ([docs/files.md](docs/files.md)); empty: nothing.",
    )
    file_scan_seconds: float = Field(60, gt=0, le=600, description="How long the scanner may take for a file.")

    @property
    def file_max_bytes(self) -> int:
        """The bytes that an uploaded file can have."""
        return self.file_max_mib * 1024 * 1024
