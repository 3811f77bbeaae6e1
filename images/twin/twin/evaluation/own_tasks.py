"""One's own tasks for general abilities, as far as they make an evaluation another one."""

from twin.recipes.abilities import AbilitiesSection
from twin.stores.files import folder_digest


def tasks_digest(section: AbilitiesSection) -> str:
    """Digest of the tasks in the recipe's folder with their questions; empty where it has none."""
    if section.folder is None or not section.folder.is_dir():
        return ""
    return folder_digest(section.folder)
