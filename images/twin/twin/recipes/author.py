"""Sections of a recipe: whose writing it is, and on what ground it may be used."""

from pydantic import Field

from twin.recipes.section import Section, Slug


class AuthorSection(Section):
    """Whose writing this is."""

    id: Slug
    name: str = Field(min_length=1)
    aliases: tuple[str, ...] = Field(
        default=(), description="other names and handles that the author's texts are signed with"
    )


class RightsSection(Section):
    """On what ground the texts may be kept and trained on; recorded with every document."""

    licence: str | None = Field(
        default=None, description="URL or SPDX name, for pages that name none of their own"
    )
    consent: str | None = Field(
        default=None, description='e.g. "the author\'s own texts, agreed by mail of 2026-01-05"'
    )
    honour_reservations: bool = Field(
        default=True,
        description="leave out pages whose publisher reserves them (noai, noindex, TDM "
        "reservation); false only if the consent covers them",
    )
