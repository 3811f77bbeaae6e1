"""Reports on what readers ask, in the file store: ``monitoring/questions/<recipe>/``.

They hold callers' questions and titles of documents, so whoever forgets a document removes them:
the next run makes them anew, without it. They are nowhere else.
"""

from collections.abc import Mapping

from twin.stores.files import FileStore

FOLDER = "monitoring/questions"


def write_report(files: FileStore, recipe: str, texts: Mapping[str, str]) -> dict[str, str]:
    """Replace a recipe's report; returns file name to URI.

    Args:
        files: the store.
        recipe: name.
        texts: file name to content.
    """
    return {
        name: files.write_text(f"{FOLDER}/{recipe}/{name}", text) for name, text in texts.items()
    }


def remove_report(files: FileStore, recipe: str) -> None:
    """Remove a recipe's report; not being there is fine."""
    files.remove(f"{FOLDER}/{recipe}")


def remove_reports(files: FileStore) -> int:
    """Remove the reports of all recipes; returns how many there were."""
    recipes = files.names(FOLDER)
    for recipe in recipes:
        remove_report(files, recipe)
    return len(recipes)
