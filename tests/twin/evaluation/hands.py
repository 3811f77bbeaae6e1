"""The handbook, whose author is known, and prose by nobody in particular."""

import re
from collections.abc import Iterable

from tests.conftest import ROOT

#: Fluent prose of the kind that language models write of themselves, about the handbook's topics.
GENERAL = [
    "Containerization has revolutionized the way modern organizations approach software "
    "deployment. By encapsulating applications together with their dependencies, teams are able to "
    "achieve consistent behavior across diverse environments, which significantly reduces the risk "
    "of unexpected issues. Furthermore, orchestration platforms provide powerful capabilities for "
    "scaling workloads dynamically, ensuring that resources are utilized efficiently and that "
    "services remain highly available even under fluctuating demand.",
    "When evaluating a machine learning model, it is important to consider a range of metrics. "
    "Accuracy alone may not provide a complete picture of performance, particularly in scenarios "
    "where the data is imbalanced. Additionally, stakeholders should carefully examine precision, "
    "recall, and calibration in order to gain a comprehensive understanding of how the model is "
    "likely to behave in production. Ultimately, a robust evaluation strategy enables "
    "organizations to make informed decisions and deliver meaningful value to their users.",
    "Security is a critical aspect of any modern application. Developers are encouraged to follow "
    "established best practices, including the principle of least privilege, regular auditing of "
    "access controls, and timely installation of updates. In addition, comprehensive monitoring "
    "can help identify potential threats before they escalate into serious incidents. By adopting "
    "a proactive approach, organizations can foster a culture of security awareness that benefits "
    "both their customers and their employees.",
    "Retrieval-augmented generation is an innovative technique that combines the strengths of "
    "information retrieval and natural language generation. By grounding responses in relevant "
    "documents, these systems are able to provide more accurate and contextually appropriate "
    "answers. Moreover, they offer a flexible framework that can be adapted to a variety of "
    "domains, making them an increasingly popular choice for enterprises seeking to leverage the "
    "full potential of their knowledge bases while maintaining transparency and trust.",
]


def handbook() -> dict[str, list[str]]:
    """The handbook's articles, in paragraphs of prose."""
    paths = sorted((ROOT / "include/handbook").glob("*.md"))
    return {path.stem: prose(path.read_text().split("---", 2)[2]) for path in paths}


def prose(text: str) -> list[str]:
    """Paragraphs of more than thirty words."""
    return [part for part in re.split(r"\n\s*\n", text) if len(part.split()) > 30]


def everything(documents: dict[str, list[str]], names: Iterable[str]) -> list[str]:
    """All paragraphs of these documents."""
    return [part for name in names for part in documents[name]]
