"""The examples of the OpenAPI document: the requests and responses of the marketplace's first description.

A test checks each against its schema.
"""

from __future__ import annotations

from typing import Any

GIG = "550e8400-e29b-41d4-a716-446655440000"
SELLER = "110e8400-e29b-41d4-a716-446655440000"
BUYER = "220e8400-e29b-41d4-a716-446655440000"
PACKAGE = "aa0e8400-e29b-41d4-a716-446655440000"
OTHER_PACKAGE = "bb0e8400-e29b-41d4-a716-446655440000"
IMAGE = "cc0e8400-e29b-41d4-a716-446655440000"
ORDER = "dd0e8400-e29b-41d4-a716-446655440000"
REVIEW = "ff0e8400-e29b-41d4-a716-446655440000"
CATEGORY = "3fa85f64-5717-4562-b3fc-2c963f66afa6"

# Values of parameters by RPC; "*" is for all others.
PARAMETER_VALUES: dict[str, dict[str, Any]] = {
    "*": {"gigId": GIG, "orderId": ORDER, "reviewId": REVIEW, "imageId": IMAGE, "packageId": PACKAGE},
    "SearchGigs": {"category": "web-dev", "minPrice": 300, "maxPrice": 1000},
}

_BASIC = {
    "title": "Basic Website",
    "description": "5-page site",
    "price": 500,
    "deliveryDays": 14,
    "features": ["Responsive Design", "Contact Form"],
}
_PREMIUM = {
    "title": "Premium Website",
    "description": "10-page site with CMS",
    "price": 1000,
    "deliveryDays": 21,
    "features": ["CMS Included", "SEO Setup"],
}
_GIG = {
    "title": "Professional Website Development",
    "description": "I'll build you a responsive website",
    "categoryId": CATEGORY,
    "tags": ["frontend", "web"],
}
_CREATED = "2023-08-20T10:00:00Z"
_DUE = "2023-09-03T10:00:00Z"
_WHOLE_GIG = {
    "id": GIG,
    **_GIG,
    "status": "ACTIVE",
    "rating": 4.8,
    "reviewCount": 12,
    "seller": {"id": SELLER, "username": "webdev_pro", "badges": ["Top Seller"]},
    "packages": [{"id": PACKAGE, **_BASIC, "revisions": 0, "extras": []}],
    "images": [
        {
            "id": IMAGE,
            "url": "https://cdn.example.com/gig1.jpg",
            "thumbnailUrl": "https://cdn.example.com/gig1-thumb.jpg",
            "isPrimary": True,
        }
    ],
    "createdAt": _CREATED,
    "updatedAt": _CREATED,
}
_REVIEW = {"rating": 5, "comment": "Excellent work! Delivered early."}

# The body of a request, by RPC.
BODIES: dict[str, dict[str, Any]] = {
    "CreateGig": {**_GIG, "packages": [_BASIC]},
    "UpdateGig": _GIG,
    "SetGigStatus": {"status": "PAUSED"},
    "AddPackage": _PREMIUM,
    "UpdatePackage": _PREMIUM,
    "UpdateImage": {"isPrimary": True},
    "PlaceOrder": {"packageId": PACKAGE, "requirements": "Need dark theme", "paymentMethod": "stripe"},
    "DeliverOrder": {"message": "The site is up"},
    "ExtendOrder": {"days": 5, "message": "The host is down until Thursday"},
    "ReviseOrder": {"message": "The contact form needs a captcha"},
    "DisputeOrder": {"message": "The site does not open"},
    "SubmitReview": _REVIEW,
    "ReplyToReview": {"text": "Thank you!"},
}

# The body of a response, by RPC.
RESPONSES: dict[str, dict[str, Any]] = {
    "CreateGig": {
        "id": GIG,
        "title": "Professional Website Development",
        "sellerId": SELLER,
        "status": "ACTIVE",
        "createdAt": _CREATED,
    },
    "GetGig": _WHOLE_GIG,
    "UpdateGig": _WHOLE_GIG,
    "SetGigStatus": {"id": GIG, "status": "PAUSED"},
    "AddPackage": {"id": OTHER_PACKAGE, "gigId": GIG, "title": "Premium Website"},
    "PlaceOrder": {
        "orderId": ORDER,
        "gigId": GIG,
        "gigTitle": "Professional Website Development",
        "package": "Basic Website",
        "price": 500,
        "status": "PENDING",
        "dueDate": _DUE,
    },
    "SubmitReview": {"reviewId": REVIEW, "gigId": GIG, "newAverageRating": 4.9},
    "ListReviews": {
        "results": [
            {
                "id": REVIEW,
                "orderId": ORDER,
                "buyer": {"id": BUYER, "username": "busy_buyer"},
                **_REVIEW,
                "createdAt": _DUE,
                "reply": {"text": "Thank you!", "at": _DUE},
            }
        ],
        "total": 12,
        "averageRating": 4.8,
        "histogram": {"1": 0, "2": 0, "3": 0, "4": 2, "5": 10},
    },
    "SearchGigs": {
        "results": [
            {
                "id": GIG,
                "title": "Professional Website Development",
                "startingPrice": 500,
                "rating": 4.8,
                "reviewCount": 12,
                "seller": {"id": SELLER, "username": "webdev_pro", "badges": ["Top Seller"]},
                "thumbnail": "https://cdn.example.com/gig1-thumb.jpg",
            }
        ],
        "total": 27,
        "totalIsEstimate": False,
    },
}

# Texts of errors that are more exact than the catalogue's.
ERROR_TEXTS = {
    "FORBIDDEN": "You don't have permission to modify this gig",
    "NOT_FOUND": "Gig not found",
}
