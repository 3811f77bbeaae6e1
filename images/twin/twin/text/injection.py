"""Texts that talk to the model instead of about something: instructions in questions and pages.

Rules, so that the same text is always told the same: what they find is marked and reported, and no
proof of anything. They look at a text as it stands, without letters that nobody sees, and at what
is packed in it (Base64, percent signs, entities, ROT13, reversed), in the languages most written.
"""

import base64
import binascii
import codecs
import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

#: Longer texts are looked at in their first and last so many characters.
LONGEST = 20_000
EXCERPT = 80

#: Verbs that wave something aside, then what is waved aside, by language; in between at most some
#: words. Both orders, since languages differ.
_WAVE = {
    "en": (
        r"ignor(?:e|ing)|disregard|forget|overrid(?:e|ing)|bypass|discard|do not (?:follow|obey)|"
        r"don'?t (?:follow|obey)|stop following|pay no attention to|set aside|neglect",
        r"instructions?|rules?|guidelines?|directives?|prompts?|restrictions?|polic(?:y|ies)|"
        r"constraints?|guardrails?|everything (?:above|before|you)|(?:said|told|written) (?:above|"
        r"before)|system message|what you were told|the (?:above|foregoing)",
    ),
    "de": (
        r"ignorier\w*|vergiss|vergessen sie|missachte\w*|umgeh\w*|befolge .{0,20}nicht",
        r"anweisung\w*|regeln?|vorgaben?|instruktion\w*|richtlinien?|systemprompt|"
        r"(?:was|alles).{0,20}(?:davor|vorher|oben)",
    ),
    "fr": (
        r"ignor(?:e|ez|er)|oubli(?:e|ez|er)|ne (?:suis|suivez|tiens|tenez)|contourne\w*|"
        r"fais abstraction|faites abstraction",
        r"instructions?|consignes?|r[eè]gles?|directives?|invite syst[eè]me|ce qui pr[eé]c[eè]de",
    ),
    "es": (
        r"ignor(?:a|e|en|ar)|olvid(?:a|e|en|ar)|omit(?:e|a|ir)|haz caso omiso|no sigas|descarta",
        r"instrucci[oó]n(?:es)?|reglas?|indicaciones|directrices|[oó]rdenes|lo anterior",
    ),
    "it": (
        r"ignor(?:a|ate|are)|dimentica\w*|non seguire|trascura",
        r"istruzion[ei]|regol[ae]|direttive|indicazioni|quanto sopra",
    ),
    "pt": (
        r"ignor(?:e|a|em|ar)|esque[çc]a\w*|desconsidere|n[aã]o siga",
        r"instru[çc](?:[aã]o|[oõ]es)|regras?|diretrizes|orienta[çc][oõ]es",
    ),
    "nl": (r"negeer|vergeet|volg .{0,20}niet", r"instructies?|regels?|richtlijnen|aanwijzingen"),
    "pl": (
        r"zignoruj|ignoruj|zapomnij|pomi[nń]",
        r"instrukcj\w+|polece\w+|zasad\w*|regu[lł]\w*|wskaz[oó]w\w*",
    ),
    "ru": (
        r"игнорир\w+|проигнорир\w+|забуд\w+|не обращай внимания|отбрось",
        r"инструкци\w+|указани\w+|правил\w*|предписани\w+",
    ),
    "uk": (r"ігнору\w+|проігнору\w+|забуд\w+", r"інструкці\w+|вказів\w+|правил\w*"),
    "tr": (
        r"yok say|g[oö]rmezden gel|unut|dikkate alma",
        r"talimat\w*|kural\w*|y[oö]nerge\w*|komut\w*",
    ),
    "zh": (
        r"忽略|无视|忘记|忘掉|不要遵守|不要理会|忽視|無視|忘記",
        r"指令|指示|规则|規則|说明|提示词|提示詞|要求|设定",
    ),
    "ja": (r"無視|忘れ|従わない", r"指示|命令|ルール|規則|プロンプト|説明"),
    "ko": (r"무시|잊어|잊으|따르지 마", r"지시|명령|규칙|지침|프롬프트"),
    "ar": (r"تجاهل|انس[َى]?|لا تتبع", r"التعليمات|تعليمات|القواعد|الأوامر|التوجيهات"),
    "hi": (r"अनदेखा|नज़रअंदाज़|भूल जा", r"निर्देश\w*|नियम\w*|आदेश\w*"),
    "vi": (r"bỏ qua|quên|phớt lờ", r"hướng dẫn|chỉ thị|quy tắc|chỉ dẫn|lệnh"),
    "id": (r"abaikan|lupakan|jangan ikuti", r"instruksi|perintah|aturan|petunjuk"),
}  # fmt: skip
_GAP = r"[^.!?\n]{0,50}?"

_SHOW = (
    r"(?:reveal|print|show|repeat|output|display|tell me|give me|leak|recite|dump|write out|copy|"
    r"translate|summari[sz]e|encode|what (?:is|are|was|were)|zeig\w*|gib|verrate\w*|nenne\w*|"
    r"montre\w*|r[eé]v[eè]le\w*|affiche\w*|muestra\w*|revela\w*|mostra\w*|rivela\w*|покажи|"
    r"выведи|раскрой|poka[zż]|ujawnij|göster|显示|输出|告诉我|表示|見せて|教えて|보여|알려|اعرض|اكشف)"
)
_HIDDEN_TEXT = (
    r"(?:system ?(?:prompt|message|instructions?)|(?:your|the|initial|original|hidden|secret) "
    r"(?:initial |original |hidden |secret |exact )*(?:instructions|prompt|directives|"
    r"api ?keys?|passwords?|credentials)|(?:text|words|everything|anything|all) (?:written )?"
    r"above|everything before (?:this|the|it)|deine\w* (?:anweisungen|systemprompt)|"
    r"vos instructions|"
    r"tes instructions|tus instrucciones|le tue istruzioni|"
    r"(?:свои|твои|системн\w+) (?:инструкции|промпт)|"
    r"systemprompt|prompt syst[eè]me|prompt del sistema|prompt di sistema|"
    r"swoje instrukcje|"
    r"系统提示|系統提示|提示词|システムプロンプト|시스템 프롬프트|sistem (?:istemi|promptu))"
)

RULES: dict[str, re.Pattern[str]] = {
    "marks of a chat format": re.compile(
        r"<\|[a-z_]+\|>|"
        r"\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</?(?:system|instructions?)>|"
        r"^[ \t]*#{2,}[ \t]*(?:system|instructions?)\b|#{2,} {0,3}(?:system|instructions?) {0,3}:|"
        r"^[ \t]*(?:system|assistant) {0,3}:|\[system\]",
        re.IGNORECASE | re.MULTILINE,
    ),
    "another role": re.compile(
        r"\byou are (?:now|no longer)\b|\bfrom now on,? (?:you|act|respond|answer|reply|speak)|"
        r"\b(?:act|behave|respond|pretend)(?: to be)? (?:as|like|that you are|you are|to be)\b"
        r"[^.\n]{0,60}"
        r"\b(?:unrestricted|uncensored|no (?:rules|limits|restrictions|filters?)|without (?:any )?"
        r"(?:rules|limits|restrictions|filters?)|jailbroken|evil|hacker|dan)\b|"
        r"\b(?:developer|debug|god|admin|maintenance|dan|unrestricted|jailbreak) mode\b|"
        r"\bdo anything now\b|\b(?:new|updated|real|actual) (?:instructions?|system prompt|task|"
        r"orders?)\s{0,3}(?::|are\b|is\b|follow)|"
        r"\bdu bist (?:jetzt|ab sofort|nun)\b|\btu es (?:maintenant|d[eé]sormais)\b|\bvous [eê]tes "
        r"(?:maintenant|d[eé]sormais)\b|\bahora eres\b|\bora sei\b|\bagora voc[eê] [eé]\b|"
        r"\bтеперь ты\b|\bjeste[sś] teraz\b|\bartık sen\b|你现在是|你現在是|あなたは今から|"  # noqa: RUF001
        r"이제부터 너는|أنت الآن",
        re.IGNORECASE,
    ),
    "asks for what is hidden": re.compile(
        rf"{_SHOW}{_GAP}{_HIDDEN_TEXT}|{_HIDDEN_TEXT}{_GAP}"
        r"(?:显示|输出|告诉|表示して|見せて|教えて|보여|알려|zeigen|ausgeben|anzeigen)",
        re.IGNORECASE,
    ),
    "sends something away": re.compile(
        r"(?:send|post|append|attach|forward|exfiltrate|upload|include|embed|put|leak|add|e-?mail)"
        r"[^.\n]{0,80}(?:to|in|into|as|at|via|with)[^\n]{0,40}(?:https?://|www\.|!\[|\burl\b|"
        r"\bwebhook\b|\bquery string\b|\S@\S)|"
        r"\[[^\]\n]{0,80}\]\([^)\s]{0,100}[?&][^)\s]{0,100}=\s{0,3}(?:\{|<|\[|\$|%7b)",
        re.IGNORECASE,
    ),
    "speaks to the model": re.compile(
        r"\b(?:note|message|instructions?|attention|important|reminder|notice)\b[^.\n]{0,20}"
        r"\b(?:to|for) (?:the |any |all )?(?:ai|llms?|language models?|assistants?|chatbots?|"
        r"models?|agents?|bots?)\b|"
        r"\b(?:if|when) you(?:'re| are) (?:an? )?(?:ai|llm|language model|assistant|chatbot|bot)\b|"
        r"\b(?:dear|hey|hello|attention),? (?:ai|llm|language model|assistant|chatbot)s?\b|"
        r"\b(?:ai|llm|assistant|language model)s? (?:reading|processing|summari[sz]ing) this\b",
        re.IGNORECASE,
    ),
}
WAVES = "waves instructions aside"

#: Scripts that set no blanks between words, or none that a word border would be seen at.
_UNSPACED = ("zh", "ja", "ko", "ar", "hi")


def _waves(language: str, verbs: str, objects: str) -> re.Pattern[str]:
    word = "" if language in _UNSPACED else r"\b"
    pattern = rf"{word}(?:{verbs}){_GAP}(?:{objects})|(?:{objects}){_GAP}(?:{verbs}){word}"
    return re.compile(pattern, re.IGNORECASE)


_WAVES = tuple(_waves(name, *words) for name, words in _WAVE.items())
#: Without any of these verbs none of the former finds anything.
_VERBS = re.compile("|".join(verbs for verbs, _ in _WAVE.values()), re.IGNORECASE)

#: Quick to look for in what was unpacked, which is letters at random as a rule.
_CUE = re.compile(
    r"ignor|disregard|forget|overrid|bypass|instruc|instruk|prompt|rules|system|reveal|guideline|"
    r"anweis|consigne|istruzion|инструк|指令|指示|지시",
    re.IGNORECASE,
)

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}[ :]?){16,}")
_PERCENT = re.compile(r"%[0-9a-fA-F]{2}")
_ESCAPED = re.compile(r"(?:\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}){6,}")
_SPACED = re.compile(r"\b(?:\w[ .\-_*|]){2,}\w\b")
_DOTTED = re.compile(r"\b\w(?:[.\-_*|]\w){3,}\b")
_JOINTS = re.compile(r"[ .\-_*|]")
#: Letters of another alphabet beside Latin ones; digits inside of words.
_STRANGERS = re.compile(r"[a-zA-Z][\u0370-\u058f]|[\u0370-\u058f][a-zA-Z]")
_MIXED = re.compile(r"[a-zA-Z][013457@$!]+[a-zA-Z]|\b[013457@$]+[a-zA-Z]{2}")
_TAGS = range(0xE0020, 0xE007F)
#: Letters of other alphabets, and digits, that are read as Latin ones.
_LOOKALIKES = str.maketrans("аеорсухіјѕԁһɡαοερτυν", "aeopcyxijsdhgaoeptuv")
_LEET = str.maketrans("0134578@$!", "oieastbasi")


@dataclass(frozen=True)
class Injection:
    """What a rule has found.

    Attributes:
        rule: its name.
        excerpt: the words, at most some.
        packed: how they were hidden, or "".
    """

    rule: str
    excerpt: str
    packed: str = ""


@lru_cache(maxsize=4_096)
def injections(text: str) -> tuple[Injection, ...]:
    """What in a text talks to the model, each rule at most once.

    Remembered for the last few thousand texts: passages come again and again.
    """
    found: dict[str, Injection] = {}
    for packed, form in _forms(_ends(text)):
        if packed and not _CUE.search(form):
            continue
        for name, match in _matches(form):
            found.setdefault(name, Injection(name, match[0].strip()[:EXCERPT], packed))
    return tuple(found.values())


def _matches(form: str) -> Iterator[tuple[str, re.Match[str]]]:
    for name, rule in RULES.items():
        if match := rule.search(form):
            yield name, match
    if not _VERBS.search(form):
        return
    for rule in _WAVES:
        if match := rule.search(form):
            yield WAVES, match
            return


def _ends(text: str) -> str:
    return text if len(text) <= 2 * LONGEST else f"{text[:LONGEST]}\n{text[-LONGEST:]}"


def _forms(text: str) -> Iterator[tuple[str, str]]:
    """The text as it stands and as it may be meant, each with how it was hidden."""
    plain = unicodedata.normalize("NFKC", "".join(map(_visible, text)))
    seen = {plain}
    yield "", plain
    for packed, form in _unpacked(plain):
        if form not in seen:
            seen.add(form)
            yield packed, form


def _unpacked(text: str) -> Iterator[tuple[str, str]]:
    yield from _respelled(text)
    yield from _decodings(text)
    yield "ROT13", codecs.decode(text, "rot13")
    yield "reversed", text[::-1]


def _respelled(text: str) -> Iterator[tuple[str, str]]:
    if _STRANGERS.search(text):
        yield "look-alike letters", text.casefold().translate(_LOOKALIKES)
    if len(_MIXED.findall(text)) > 1:
        yield "digits for letters", text.casefold().translate(_LEET)
    if _SPACED.search(text):
        yield "spaced letters", _SPACED.sub(lambda match: _JOINTS.sub("", match[0]), text)
    if _DOTTED.search(text):
        yield "dotted letters", re.sub(r"(?<=\w)[.\-_*|](?=\w)", "", text)


def _decodings(text: str) -> Iterator[tuple[str, str]]:
    if "&" in text:
        yield "entities", html.unescape(text)
    if len(_PERCENT.findall(text)) > 2:
        yield "percent signs", unquote(text)
    if _ESCAPED.search(text):
        yield "escapes", _ESCAPED.sub(_escapes, text)
    for match in _BASE64.finditer(text):
        yield "Base64", _decoded(match[0])
    for match in _HEX.finditer(text):
        yield "hexadecimal", _text_of(bytes.fromhex(re.sub(r"[ :]", "", match[0])))


def _visible(letter: str) -> str:
    code = ord(letter)
    if code in _TAGS:  # invisible twins of ASCII
        return chr(code - 0xE0000)
    stacked = 0x300 <= code <= 0x36F and code not in _ACCENTS
    return "" if stacked or unicodedata.category(letter) == "Cf" else letter


#: Marks that letters of living languages bear; the others are stacked to hide words.
_ACCENTS = frozenset(range(0x300, 0x30D)) | {0x323, 0x327, 0x328}


def _escapes(match: re.Match[str]) -> str:
    return re.sub(r"\\[ux]([0-9a-fA-F]+)", lambda one: chr(int(one[1], 16)), match[0])


def _decoded(text: str) -> str:
    try:
        return _text_of(base64.b64decode(text.replace("-", "+").replace("_", "/") + "=="))
    except (binascii.Error, ValueError):
        return ""


def _text_of(data: bytes) -> str:
    """Bytes as text, or nothing where they are none."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return ""
    return text if text.isprintable() or "\n" in text else ""
