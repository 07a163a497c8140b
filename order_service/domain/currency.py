"""The currencies that a deployment can use: those of ISO 4217 whose minor unit is a hundredth."""

# Source: ISO 4217, list one, active currencies with two decimals. Funds, metals and test codes are left out.
TWO_DECIMALS = frozenset(
    """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC
    CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES
    KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB
    PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY
    TTD TWD TZS UAH USD UZS VES WST XCD YER ZAR ZMW ZWG
    """.split()  # noqa: SIM905  # a list of 140 literals would be a page
)


def check_currency(code: str) -> str:
    """Return the code. Raises ValueError for an unknown code, or a currency whose amounts do not have two decimals."""
    if code not in TWO_DECIMALS:
        raise ValueError(f"{code!r} is not an ISO 4217 currency with two decimals, such as USD or EUR")
    return code
