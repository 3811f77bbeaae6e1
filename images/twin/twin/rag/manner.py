"""A profile in the words that a model is asked in."""

from twin.domain.profile import LANGUAGES, Length, Profile
from twin.text.injection import injections

LENGTHS = {
    Length.SHORT: "in one or two sentences",
    Length.MEDIUM: "in one paragraph",
    Length.LONG: "at length, in several paragraphs",
}


def manner_of(profile: Profile | None) -> str:
    """What stands before the question; nothing where the profile wishes nothing."""
    if profile is None:
        return ""
    wishes = [
        f"in a tone that is {profile.tone}" if profile.tone else "",
        LENGTHS[profile.length] if profile.length else "",
        f"in {LANGUAGES[profile.language]}" if profile.language else "",
    ]
    told = ", ".join(wish for wish in wishes if wish)
    return f"Write {told}. This is about the manner alone: say nothing else for it." if told else ""


def check_profile(profile: Profile) -> Profile:
    """Refuse a tone that talks to the model.

    Raises:
        ValueError: it reads like an instruction to ignore or reveal something.
    """
    if profile.tone and injections(profile.tone):
        raise ValueError("the tone reads like an instruction to the model: name a manner")
    return profile
