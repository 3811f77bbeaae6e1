"""PDF files as a typesetter makes them, by fpdf2."""

import random
from datetime import UTC, datetime

from fpdf import FPDF

PARAGRAPH = (
    "Every test that cannot fail is a promise that nobody made, and a reader who trusts it learns "
    "nothing about the well-known state of the program. The remedy is old: break what is tested. "
)


VOCABULARY = sorted({word.strip(".,:") for word in PARAGRAPH.lower().split() if "-" not in word})


def prose(number: int) -> str:
    """Three sentences that no other number has."""
    chance = random.Random(number)
    sentences = (" ".join(chance.choices(VOCABULARY, k=25)) for _ in range(3))
    return " ".join(f"{sentence.capitalize()}." for sentence in sentences)


class Report(FPDF):
    """A report with a running head, page numbers, a title and chapters."""

    def header(self) -> None:
        self.set_font("Helvetica", size=8)
        self.cell(0, 8, "The Journal of Tests, vol. 3", align="C", new_x="LMARGIN", new_y="NEXT")

    def footer(self) -> None:
        self.set_y(-15)
        self.set_font("Helvetica", size=8)
        self.cell(0, 8, f"Page {self.page_no()} of {{nb}}", align="C")

    def line(self, text: str, size: float = 11, height: float = 5.5, style: str = "") -> None:
        self.set_font("Helvetica", style, size)
        self.multi_cell(0, height, text, new_x="LMARGIN", new_y="NEXT")

    def paragraph(self, text: str) -> None:
        self.line(text)
        self.ln(3)


def report(*, outline: bool = False, metadata: bool = True, paragraphs: int = 6) -> Report:
    """Three chapters on several pages."""
    pdf = Report()
    pdf.add_page()
    if metadata:
        pdf.set_title("On the Making of Tests")
        pdf.set_author("Tess Tester")
        pdf.set_lang("en-GB")
        pdf.set_keywords("testing; programs")
        pdf.set_creation_date(datetime(2024, 3, 1, 9, 30, tzinfo=UTC))
    pdf.line("On the Making of Tests", size=22, height=10)
    for number, chapter in enumerate(("Why we test", "How we test", "What we learn")):
        size = 11 if outline else 15
        if outline:
            pdf.start_section(chapter)
        pdf.ln(3)
        pdf.line(chapter, size=size, height=9, style="B")
        pdf.ln(2)
        for place in range(paragraphs):
            pdf.paragraph(f"Paragraph {number}.{place} begins. {prose(number * 100 + place)}")
        pdf.line("- the first point")
        pdf.line(f"- the second point, which is longer than a line: {PARAGRAPH}")
        pdf.ln(3)
    return pdf


def bytes_of(pdf: FPDF) -> bytes:
    return bytes(pdf.output())


def scan(pages: int = 2) -> bytes:
    """Pages that are pictures."""
    pdf = FPDF()
    for _ in range(pages):
        pdf.add_page()
        for place in range(200):
            pdf.rect(10 + place % 20 * 9, 10 + place // 20 * 9, 5, 5, style="F")
    return bytes_of(pdf)


def encrypted(user_password: str) -> bytes:
    """Locked with a password to open it; with an empty one, only against changes."""
    pdf = report()
    pdf.set_encryption(owner_password="owner", user_password=user_password)
    return bytes_of(pdf)


def tagged_without_end(depth: int) -> bytes:
    """A line of text in elements, each of which names the next one twice."""
    content = "/P <</MCID 0>> BDC BT /F 12 Tf 50 400 Td (A line that has words enough.) Tj ET EMC"
    first = 8
    objects = [
        "<</Type/Catalog/Pages 2 0 R/StructTreeRoot 6 0 R/MarkInfo<</Marked true>>>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/StructParents 0"
        "/Resources<</Font<</F 5 0 R>>>>>>",
        f"<</Length {len(content)}>>stream\n{content}\nendstream",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        f"<</Type/StructTreeRoot/K[{first} 0 R]/ParentTree 7 0 R>>",
        f"<</Nums[0 [{first + depth - 1} 0 R]]>>",
    ]
    for number in range(first, first + depth):
        parent = 6 if number == first else number - 1
        kids = "[0]" if number == first + depth - 1 else f"[{number + 1} 0 R {number + 1} 0 R]"
        objects.append(f"<</Type/StructElem/S/Div/P {parent} 0 R/Pg 3 0 R/K {kids}>>")
    body = "%PDF-1.7\n"
    places = []
    for number, text in enumerate(objects, start=1):
        places.append(len(body))
        body += f"{number} 0 obj\n{text}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    size = len(objects) + 1
    body += (
        f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer<</Size {size}/Root 1 0 R>>\n"
        f"startxref\n{len(body)}\n%%EOF"
    )
    return body.encode()
