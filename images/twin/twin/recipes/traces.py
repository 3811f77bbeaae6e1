"""Section `serving.traces` of a recipe: what of answers goes to MLflow, and how long it stays."""

from pydantic import Field

from twin.recipes.section import Fraction, Section
from twin.text.personal_data import PersonalDataKind


class TracesSection(Section):
    """Traces of answers. Metrics count every answer, whatever stands here."""

    share: Fraction = Field(
        default=1.0, description="of answers whose trace is sent; drawn by the trace's id"
    )
    redact: tuple[PersonalDataKind, ...] = Field(
        default=("EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IBAN_CODE", "SECRET_KEY"),
        description="kinds of personal data that are replaced in a trace before it is sent, in "
        "questions, passages and answers; names (PERSON) are those of datasets.personal_data",
    )
    kept_days: int = Field(
        default=90,
        ge=0,
        le=3_650,
        description="days after which `twin serving prune-traces` deletes a trace; 0: never",
    )
