# ruff: noqa: E501, RUF001
"""Made-up articles: blocks of prose, lists, code and tables, the same for the same seed."""

import random
from dataclasses import dataclass, field

_WHO = (
    "The council", "A small team in Leeds", "Dr. Amara Osei", "Nobody at the harbour",
    "The older of the two brothers", "Our second prototype", "Most farmers in the valley",
    "The committee's report", "A retired engineer", "The night shift", "Her publisher",
    "An early version of the compiler", "The ferry company", "Every reader we asked",
)  # fmt: skip
_DID = (
    "spent eleven months on", "quietly abandoned", "never expected", "argued for years about",
    "had to rebuild", "took a long look at", "wrote the first honest account of", "paid for",
    "would rather forget", "kept a careful record of", "misjudged", "still depends on",
)  # fmt: skip
_WHAT = (
    "the flood barrier", "a queue that nobody owned", "the winter timetable", "four thousand letters",
    "the cost of moving the archive", "a rule from 1974", "the bridge over the Wye",
    "measurements that didn't add up", "an orchard of forgotten apples", "the old type checker",
    "its own success", "a promise made in passing", "three gigabytes of sensor data",
)  # fmt: skip
_WHY = (
    "because the first plan had failed", "although the money had long run out",
    "which surprised even its critics", "and the neighbours noticed", "before anyone could object",
    "while the rest of the country looked elsewhere", "at roughly half of the estimated price",
    "as the minutes of that meeting show", "so the work began again in spring",
    'and said, "We would do it again tomorrow"', "after a night of heavy rain",
)  # fmt: skip
_NOUNS = (
    "Bridges", "Orchards", "Compilers", "Letters", "Tides", "Budgets", "Archives", "Engines",
    "Maps", "Winters", "Ledgers", "Gardens",
)  # fmt: skip
_FOREIGN = {
    "de": (
        "Der Stadtrat hat am Dienstag lange über die neue Brücke gestritten.",
        "Am Ende stimmten neun von siebzehn Mitgliedern dafür, obwohl die Kosten gestiegen sind.",
        "„Wir haben keine Wahl“, sagte die Bürgermeisterin nach der Sitzung.",
        "Die Arbeiten sollen im Frühjahr beginnen und etwa zwei Jahre dauern.",
        "Anwohner fürchten Lärm und längere Wege zur Schule.",
        "Ein Gutachten aus dem vergangenen Jahr kommt zu einem anderen Ergebnis.",
        "Die Fähre fährt bis dahin weiter, allerdings nur noch einmal in der Stunde.",
    ),
    "fr": (
        "Le conseil municipal a longuement débattu du nouveau pont mardi soir.",
        "Neuf élus sur dix-sept ont voté pour, malgré la hausse des coûts.",
        "« Nous n'avons pas le choix », a déclaré la maire à l'issue de la séance.",
        "Les travaux doivent commencer au printemps et durer environ deux ans.",
        "Les riverains craignent le bruit et des trajets plus longs vers l'école.",
        "Un rapport publié l'an dernier arrivait pourtant à une autre conclusion.",
    ),
    "es": (
        "El ayuntamiento debatió durante horas sobre el nuevo puente el martes.",
        "Nueve de los diecisiete concejales votaron a favor pese al aumento del coste.",
        "«No tenemos alternativa», afirmó la alcaldesa tras la sesión.",
        "Las obras empezarán en primavera y durarán unos dos años.",
        "Los vecinos temen el ruido y un camino más largo hasta la escuela.",
        "Un informe del año pasado había llegado a otra conclusión.",
    ),
    "zh": (
        "市议会星期二就新桥的建设进行了长时间的讨论。",
        "尽管费用比原计划高出许多，十七名议员中仍有九人投了赞成票。",
        "市长在会议结束后表示：“我们已经没有别的选择。”",
        "工程将于明年春天开始，预计需要大约两年时间才能全部完成。",
        "附近的居民担心施工带来的噪音，也担心孩子上学的路会变得更远。",
        "去年的一份报告曾经得出完全不同的结论。",
    ),
    "ja": (
        "市議会は火曜日、新しい橋の建設について長時間にわたり議論した。",
        "費用が増えたにもかかわらず、十七人のうち九人が賛成した。",
        "「ほかに選択肢はない」と市長は会議の後に語った。",
        "工事は来年の春に始まり、およそ二年かかる見込みだ。",
        "住民は騒音や、学校までの道が遠くなることを心配している。",
        "昨年の報告書は別の結論を出していた。",
    ),
    "ar": (
        "ناقش المجلس البلدي مطولا مشروع الجسر الجديد يوم الثلاثاء.",
        "وصوت تسعة من أصل سبعة عشر عضوا لصالح المشروع رغم ارتفاع التكاليف.",
        "وقالت رئيسة البلدية بعد الجلسة إنه لا يوجد خيار آخر.",
        "ومن المقرر أن تبدأ الأعمال في الربيع وأن تستمر نحو عامين.",
        "ويخشى السكان الضوضاء وطول الطريق إلى المدرسة.",
        "وكان تقرير صدر العام الماضي قد توصل إلى نتيجة مختلفة.",
    ),
}


@dataclass(frozen=True)
class Block:
    """A piece of an article.

    Attributes:
        kind: p, h2, h3, ul, ol, quote, code, table or figure.
        text: of a paragraph, heading, quote or code; the caption of a figure.
        items: of a list, or the rows of a table with cells parted by ``|``.
    """

    kind: str
    text: str = ""
    items: tuple[str, ...] = ()

    @property
    def gold(self) -> str:
        """What of it belongs to the plain text of an article: captions don't."""
        if self.kind == "figure":
            return ""
        return "\n".join([self.text, *self.items]).replace("|", "\n")


@dataclass
class Story:
    """An article and what stands around it on every site."""

    title: str
    author: str
    date: str
    blocks: list[Block] = field(default_factory=list)
    language: str = "en"

    @property
    def gold(self) -> str:
        """Plain text of the body."""
        return "\n".join(filter(None, (block.gold for block in self.blocks)))


class Writer:
    """Writes stories from one seed."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def sentence(self) -> str:
        """One English sentence of some fifteen words."""
        pick = self.random.choice
        end = f", {pick(_WHY)}" if self.random.random() < 0.7 else f" in {pick(range(1961, 2025))}"
        return f"{pick(_WHO)} {pick(_DID)} {pick(_WHAT)}{end}."

    def paragraph(self, least: int = 2, most: int = 6) -> str:
        """Some sentences."""
        return " ".join(self.sentence() for _ in range(self.random.randint(least, most)))

    def heading(self) -> str:
        """A few words."""
        one, other = self.random.sample(_NOUNS, 2)
        return self.random.choice((f"{one} and {other}", f"What {one} Cost", f"On {one}", one))

    def title(self) -> str:
        """A headline."""
        one, other = self.random.sample(_NOUNS, 2)
        return f"How {one} Became {other}: {self.random.choice(_WHAT).capitalize()}"

    def author(self) -> str:
        """A name."""
        first = ("Ines", "Tomas", "Ruth", "Kofi", "Mei", "Anders", "Leila")
        last = ("Calloway", "Brandt", "Okafor", "Lindqvist", "Marsh", "Tanaka", "Duarte")
        return f"{self.random.choice(first)} {self.random.choice(last)}"

    def teaser(self) -> str:
        """A headline of some other article."""
        return f"{self.random.choice(_WHO)} {self.random.choice(_DID)} {self.random.choice(_WHAT)}"

    def story(self, kinds: str) -> Story:
        """A story of blocks: p, h (h2), s (h3), u, o, q, c, t, f for what `Block.kind` lists."""
        number = self.random.randint
        date = f"20{number(10, 24)}-{number(1, 12):02}-1{number(0, 9)}"
        story = Story(self.title(), self.author(), date)
        story.blocks = [self._block(kind) for kind in kinds]
        return story

    def foreign(self, language: str, paragraphs: int) -> Story:
        """A story in German, French, Spanish, Chinese, Japanese or Arabic."""
        sentences = _FOREIGN[language]
        story = Story(sentences[0].rstrip(".。"), self.author(), "2021-06-11", language=language)
        joint = "" if language in ("ja", "zh") else " "
        for _ in range(paragraphs):
            count = self.random.randint(2, 4)
            story.blocks.append(Block("p", joint.join(self.random.sample(sentences[1:], count))))
        return story

    def foreign_teaser(self, language: str) -> str:
        """The beginning of a sentence, as portals list their headlines."""
        return self.random.choice(_FOREIGN[language])[:16]

    def _block(self, kind: str) -> Block:  # noqa: C901, PLR0911 - a case for each kind
        match kind:
            case "p":
                return Block("p", self.paragraph())
            case "l":  # one line
                return Block("p", self.sentence())
            case "h":
                return Block("h2", self.heading())
            case "s":
                return Block("h3", self.heading())
            case "u" | "o":
                items = tuple(self.sentence() for _ in range(self.random.randint(3, 5)))
                return Block("ul" if kind == "u" else "ol", items=items)
            case "q":
                return Block("quote", self.sentence())
            case "c":
                name = self.random.choice(_NOUNS).lower()
                return Block("code", f"def {name}(x):\n    y = x * 2\n\n    return y + 1")
            case "t":
                rows = ["Name|Year|Cost"]
                rows += [
                    f"{self.random.choice(_NOUNS)}|{self.random.randint(1961, 2024)}|"
                    f"{self.random.randint(10, 99)} million"
                    for _ in range(4)
                ]
                return Block("table", items=tuple(rows))
            case _:
                return Block("figure", f"{self.teaser()}. Photograph: {self.author()}")
