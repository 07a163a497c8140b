"""The limits of uploads that services and the edge share."""

# The bytes of a form beside its files' contents: headers, other fields, and text between the parts.
MAX_OTHER_BYTES = 64 * 1024
