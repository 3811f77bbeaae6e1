"""Reports on what readers ask and what is written, in the file store.

``monitoring/questions/<recipe>/`` and ``monitoring/topics/<recipe>/``. They hold callers' questions
and titles of documents, so whoever forgets a document removes them: the next run makes them anew,
without it. They are nowhere else.
"""

from collections.abc import Mapping

from twin.stores.files import FileStore

QUESTIONS = "monitoring/questions"
TOPICS = "monitoring/topics"


def write_report(
    files: FileStore, recipe: str, texts: Mapping[str, str], folder: str = QUESTIONS
) -> dict[str, str]:
    """Replace one of a recipe's reports; returns file name to URI.

    Args:
        files: the store.
        recipe: name.
        texts: file name to content.
        folder: `QUESTIONS` or `TOPICS`.
    """
    return {
        name: files.write_text(f"{folder}/{recipe}/{name}", text) for name, text in texts.items()
    }


def remove_report(files: FileStore, recipe: str, *folders: str) -> None:
    """Remove a recipe's reports, those of some folders or all; not being there is fine."""
    for folder in folders or (QUESTIONS, TOPICS):
        files.remove(f"{folder}/{recipe}")


def remove_reports(files: FileStore) -> int:
    """Remove the reports of all recipes; returns how many there were."""
    found = [(folder, recipe) for folder in (QUESTIONS, TOPICS) for recipe in files.names(folder)]
    for folder, recipe in found:
        remove_report(files, recipe, folder)
    return len(found)
