"""What a passage is about, in its own words: the phrases that tell it from its neighbours."""

import re
from collections.abc import Sequence

MIN_WORDS, MAX_WORDS = 2, 3

_CODE = re.compile(r"`[^`]*`|\[([^\]]*)\]\([^)]*\)")
_BREAK = re.compile(r"[^\w'\u2019-]+|_+")
_SENTENCE_PART = re.compile(r"[^\w\s'\u2019-]+|\n")


def phrases(text: str) -> list[str]:
    """Candidate phrases: runs of two or three words without a stop word or a mark between them.

    The candidates of RAKE (Rose et al., 2010), lower-cased.
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    found = []
    for part in _SENTENCE_PART.split(_CODE.sub(lambda match: match[1] or ";", text)):
        run: list[str] = []
        for word in [*_BREAK.split(part.lower()), ""]:
            if len(word) > 2 and not word.isdigit() and word not in ENGLISH_STOP_WORDS:
                run.append(word)
                continue
            if MIN_WORDS <= len(run) <= MAX_WORDS:
                found.append(" ".join(run))
            run = []
    return found


def key_phrases(texts: Sequence[str], most: int = 3) -> list[list[str]]:
    """For each text up to ``most`` phrases, the most telling first, by TF-IDF over all texts.

    A phrase that stands in one text only is taken for an accident of its sentence, not for a term.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer=phrases, norm=None, sublinear_tf=True, min_df=2)
    try:
        table = vectorizer.fit_transform(texts)
    except ValueError:  # no phrase stands in two texts
        return [[] for _ in texts]
    names = vectorizer.get_feature_names_out()
    result = []
    for row in range(table.shape[0]):
        entries = table[row].tocoo()
        scored = [
            (-score, str(names[column]))
            for column, score in zip(entries.col, entries.data, strict=True)
        ]
        result.append([name for _, name in sorted(scored)[:most]])
    return result
