"""What AWS accepts in one request: one table, each line with its source. Prices are in prices.py, rates in rates.py."""

from dataclasses import dataclass

from medpipe_assets.errors import ConfigurationError

_TEXTRACT = "https://docs.aws.amazon.com/textract/latest/dg/limits-document.html"
_TEXTRACT_GET = "https://docs.aws.amazon.com/textract/latest/dg/API_GetDocumentTextDetection.html"
_TRANSLATE = "https://docs.aws.amazon.com/translate/latest/dg/what-is-limits.html"
_DATA_AUTOMATION = "https://docs.aws.amazon.com/bedrock/latest/userguide/bda-limits.html"
_MEDICAL = "https://docs.aws.amazon.com/comprehend-medical/latest/dev/comprehendmedical-quotas.html"

MEGABYTE = 1_000_000
"""The documentation says MB and not which; the smaller reading is always accepted."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: the most of `unit` that an operation takes (or gives)."""

    service: str
    operation: str
    limit: str
    value: int
    unit: str
    source: str


LIMITS: tuple[Limit, ...] = (
    *(
        Limit("textract", operation, limit, value, unit, _TEXTRACT)
        for operation in ("DetectDocumentText", "AnalyzeDocument")
        for limit, value, unit in (("document", 10 * MEGABYTE, "byte"), ("pages", 1, "page"))
    ),
    *(
        Limit("textract", operation, limit, value, unit, _TEXTRACT)
        for operation in ("StartDocumentTextDetection", "StartDocumentAnalysis")
        for limit, value, unit in (("document", 500 * MEGABYTE, "byte"), ("pages", 3_000, "page"))
    ),
    *(
        Limit("textract", operation, "image", 10 * MEGABYTE, "byte", _TEXTRACT)  # JPEG and PNG
        for operation in ("StartDocumentTextDetection", "StartDocumentAnalysis")
    ),
    *(
        Limit("textract", operation, "results", 1_000, "block", _TEXTRACT_GET)
        for operation in ("GetDocumentTextDetection", "GetDocumentAnalysis")
    ),
    Limit(
        "bedrock-data-automation-runtime",
        "InvokeDataAutomationAsync",
        "document",
        500 * MEGABYTE,
        "byte",
        _DATA_AUTOMATION,
    ),
    # 3,000 with the splitter, which is of no use here; without it only the console's limit is told.
    Limit("bedrock-data-automation-runtime", "InvokeDataAutomationAsync", "pages", 20, "page", _DATA_AUTOMATION),
    Limit("translate", "TranslateText", "text", 10_000, "byte", _TRANSLATE),
    Limit("translate", "TranslateDocument", "document", 100_000, "byte", _TRANSLATE),
    Limit("translate", "TranslateDocument", "characters", 100_000, "character", _TRANSLATE),
    # The service model says characters; the documentation says bytes, and bytes of UTF-8 are the safe reading.
    Limit("comprehendmedical", "DetectEntitiesV2", "text", 20_000, "byte", _MEDICAL),
    Limit("comprehendmedical", "DetectPHI", "text", 20_000, "byte", _MEDICAL),
    Limit("comprehendmedical", "InferICD10CM", "text", 10_000, "byte", _MEDICAL),
    Limit("comprehendmedical", "InferRxNorm", "text", 10_000, "byte", _MEDICAL),
    Limit("comprehendmedical", "InferSNOMEDCT", "text", 10_000, "byte", _MEDICAL),
)

LANGUAGES = {"comprehendmedical": frozenset({"en"})}
"""Languages of services that know few. Source: the same page of quotas."""

REGIONS = {
    "comprehendmedical": frozenset(
        {"ap-southeast-2", "ca-central-1", "eu-west-1", "eu-west-2", "us-east-1", "us-east-2", "us-west-2"}
        | {"us-gov-west-1"}
    )
}
"""Regions of services that are in few: seven, and GovCloud.

Source: https://docs.aws.amazon.com/general/latest/gr/comprehend-med_region.html"""

_VALUES = {(line.service, line.operation, line.limit): line.value for line in LIMITS}


def limit(service: str, operation: str, name: str) -> int:
    """A limit's value, in the unit that its line of LIMITS says.

    Raises:
        KeyError: for a limit that is not in the table.
    """
    return _VALUES[service, operation, name]


def check_region(service: str, region: str) -> None:
    """Refuse a region in which a service is not offered.

    Raises:
        ConfigurationError: naming the regions that are.
    """
    offered = REGIONS.get(service)
    if offered is not None and region not in offered:
        raise ConfigurationError(f"{service} is not offered in {region}: choose one of {', '.join(sorted(offered))}")
