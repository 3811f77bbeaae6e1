"""Abuse in a text: insults aimed at somebody, slurs and threats, by lists of words.

Short lists on purpose: a word is in them only if it abuses wherever it stands, so that a text about
abuse, about medicine or about killing a process is none. What lists cannot tell, a classifier may
(`serving.guardrails.classifiers`).
"""

import re

from twin.text.hidden_text import plain

#: Words that abuse wherever they stand, in the languages most written.
_WORDS = (
    r"nigg(?:er|a)s?|fagg?ots?|kikes?|gooks?|wetbacks?|trann(?:y|ies)|"
    r"cunts?|motherfuck\w*|fuck(?:er|ing|ed|s)?|assholes?|arseholes?|bitch(?:es)?|whores?|sluts?|"
    r"wank(?:er|ers)|twats?|dickheads?|shitheads?|scumbags?|"
    r"arschl[oö]ch\w*|fotzen?|hurens[oö]hn\w*|wichser\w*|missgeburt\w*|schlampen?|kanaken?|neger|"
    r"connards?|connasses?|encul[eé]s?|salopes?|sales? putes?|"
    r"gilipollas|hijos? de puta|cabr[oó]n(?:es)?|maric[oó]n(?:es)?|sudacas?|"
    r"stronz[oiae]|puttan[ae]|vaffanculo|froci[o]?|"
    r"filhos? da puta|viados?|kurw[ayo]\w*|skurwysyn\w*|pierdol\w*|"
    r"бляд\w*|пидор\w*|хуй\w*|мудак\w*|orospu\w*|siktir\w*"
)
_PHRASES = (
    r"(?:go )?(?:kill|hang|shoot) your ?sel(?:f|ves)|i(?:'ll| will) (?:kill|hurt|rape|"
    r"find and kill) "
    r"you|you (?:should|deserve to|must) die|you(?:'re| are) (?:an? )?(?:idiot|moron|imbecile|"
    r"worthless|subhuman)|(?:shut up|drop dead),? you|"
    r"bring dich um|du bist (?:ein )?(?:idiot|abschaum)|va te tuer|m[aá]tate|ammazzati|"
    r"убей себя|去死|傻逼|操你妈|死ね|ぶっ殺す|죽어라|병신|씨발"
)
WORD = re.compile(rf"(?<!\w)(?:{_WORDS})(?!\w)", re.IGNORECASE)
PHRASE = re.compile(rf"(?<![A-Za-z])(?:{_PHRASES})", re.IGNORECASE)

#: The end of a text that may go on to such a phrase.
PHRASE_GOES_ON = re.compile(
    r"(?i)(?:^|\b)(?:(?:go )?(?:kill|hang|shoot)(?: your)?|i(?:'ll| will)(?: kill| hurt| rape)?|"
    r"you(?: (?:should|deserve to|deserve|must))?|you(?:'re| are)(?: an?)?|shut(?: up,?)?|"
    r"drop(?: dead,?)?|bring(?: dich)?|du(?: bist)?(?: ein)?|va(?: te)?) ?\Z"
)


def is_toxic(text: str) -> bool:
    """Whether a text holds an insult, a slur or a threat."""
    said = plain(text)
    return bool(WORD.search(said) or PHRASE.search(said))
