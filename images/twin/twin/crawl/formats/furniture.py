"""How sites call what is not the article: words in class and id, and lines of text.

They are what common publishing software, and sites in general, use; none is there for one site.
"""

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FURNITURE = _words("""
    share sharing sharebar sharedaddy addthis sociable related newsletter subscribe signup
    comments disqus respond byline caption credit credits promo advert advertisement adsense
    breadcrumb breadcrumbs bio copyright cookie cookies taboola outbrain recirc recommended
    recommendations pagination sponsored trending consent gdpr onetrust didomi cookiebot
""")
"""Words that name hardly anything but furniture."""

DOUBTFUL = _words("""
    ad ads social author authors sidebar nav navigation navbar menu footer
    popup modal toolbar tags taglist keywords timestamp dateline pager widget rating ratings
    vote votes print tooltip teaser teasers popular toc gallery slideshow carousel player embed
    paywall login register registration meta metadata comment reply replies follow banner
    masthead disclaimer upsell most more next prev previous also trend suggested topics skip
    hidden infobox navbox catlinks printfooter editsection reflist hatnote ambox video
    subscription sign tweet thumbcaption
""")
"""Words that name text of the article on some sites: they only keep out what nothing else wants."""

READERS = _words("""
    comment comments commentlist commentaires comentarios kommentare reply replies disqus
""")
"""What readers wrote: as much prose as the author's, so that shape alone can't tell them apart."""

EMBEDS = _words("video player")
"""Where a few sentences describe what is to be seen, and where a page of film keeps its text."""

LEADS = _words("""
    lead lede intro standfirst chapo chapeau perex ingress zajawka entradilla sommario vorspann
""")
"""The first paragraph, where it has a box of its own above the text."""

APART = frozenset({"aside", "nav", "footer", "form", "menu", "figure", "address", "header"})
"""Elements that hold no text of the article unless something else says so."""

APART_FOR_SURE = frozenset({"nav", "footer"})
"""Elements that never do."""

_BOILERPLATE = re.compile(
    r"""^\W*(?:
    advertisements?|sponsored|promoted|tweet|e-?mail|print|share(?:\ (?:this|on|via)\b.{0,40})?
    |(?:read|see|hear|learn|find\ out)\ (?:more|also|next|full)\b.{0,120}
    |(?:also\ read|read|more|related|see\ also|watch|further\ reading)\s?:.{0,200}
    |related\ (?:articles?|stories|posts?|content|topics|links?|coverage|news).{0,60}
    |(?:more|top|latest|recommended|popular|trending)
        \ (?:from|on|in|stories|news|posts|articles)\b(?!.*[.!?]\W*$).{0,60}
    |you\ (?:may|might)\ (?:also\ )?(?:like|be\ interested).{0,40}|recommended(?:\ for\ you)?
    |(?:sign\ (?:up|in)|log\ in|subscribe)(?:\ (?:now|today|here|free))?
    |(?:sign\ up|subscribe)\b.{0,120}
        \b(?:newsletters?|e-?mails?|inbox|updates|alerts|podcast|channel|notifications)\b.{0,60}
    |follow\ (?:us|me|@\w+|\w+\ \w+\ on)\b.{0,120}|like\ us\ on.{0,60}
    |(?:photo|image|picture|credit|source|foto|bild|crédito)s?
        (?:\ (?:by|credits?|courtesy|via)\b|\s?:).{0,120}
    |(?:filed\ under|posted\ (?:in|by|on|under)|tagged\ (?:as|with))\b.{0,160}
    |(?:tags?|topics?|categor(?:y|ies)|keywords|filed\ under)\s?:.{0,160}
    |(?!.*[.!?]\W*$).{0,60}\b(?:updated|published|posted|modified)\b[^.!?]{0,20}\d[^.!?]{0,40}
    |by\ (?-i:[A-Z][\w.'-]+(?:\ [A-Z][\w.'-]*){1,4})(?:\s?[|,–—].{0,60})?
    |\d+\ (?:min(?:ute)?s?\ read|comments?|shares?|likes?|views?|replies|responses|claps)
    |(?:leave|post|add|write)\ (?:a|your)\ (?:comment|reply|response).{0,40}
    |(?:comments?|responses?|replies)(?:\ \(?\d+\)?)?|no\ comments(?:\ yet)?
    |(?:\d+\ )?(?:commentaires?|comentarios?|kommentare?|commenti|reacties)
    |©.{0,160}|(?:\(c\)|copyright)\s*(?:©|\(c\)|\d{4}).{0,160}|all\ rights\ reserved.{0,160}
    |(?:click|tap)\ here\b.{0,80}|skip\ to\b.{0,40}|back\ to\ top|scroll\ (?:down|to)\b.{0,40}
    |(?:continue\ reading|(?:story|article)\ continues).{0,60}
    |this\ (?:article|story|post)\ (?:was\ )?(?:originally|first)\ (?:appeared|published).{0,160}
    |(?:view|show|load)\ (?:all|more|comments|gallery|slideshow|photos)(?!.*[.!?]\W*$).{0,60}
    |(?:download|get)\ (?:the|our)\ app.{0,80}|listen\ to\ this\ article.{0,40}
    |loading|close|menu|search|home|next|previous|reply|report|permalink
    |(?:[àa]\ )?lire\ (?:aussi|également|la\ suite)\b.{0,160}|sur\ le\ même\ sujet.{0,60}
    |(?:lea|lee|leia|leggi|ver|vea|veja)\ (?:también|tamb[eé]m|anche|más|mais)\b.{0,160}
    |te\ puede\ interesar.{0,80}|(?:fuente|fonte|quelle|bron)\s?:.{0,80}
    |lesen\ sie\ (?:auch|hier)\b.{0,160}|mehr\ zum\ thema.{0,80}|anzeige|publicidad|publicité
    |publié\ le\ .{0,80}|(?:partager|compartir|compartilhar|condividi|teilen)\b.{0,40}
    |читайте\ также.{0,160}|(?:источник|фото|автор)\s?:.{0,80}|подпис(?:ывайтесь|аться).{0,80}
    |(?:责任编辑|責任編輯|责编|编辑|本文来源|文章来源|来源|原标题|图源|图片来源|作者|校对)\s?[:：].{0,80}
    |(?:相关|延伸|推荐)(?:新闻|阅读|链接|文章).{0,20}|(?:特别|免责|郑重|版权)?声明\s?[:：】].{0,80}
    |扫(?:一扫|描|码).{0,60}|(?:点击|欢迎)(?:查看|进入|下载|关注|扫描).{0,60}|更多(?:精彩|内容|资讯).{0,40}
    |(?:上一篇|下一篇)\s?[:：].{0,60}|分享(?:到|至|[:：]).{0,40}|未经授权.{0,60}|返回(?:顶部|首页)
    |関連記事.{0,60}|あわせて読みたい.{0,60}|続きを読む|写真\s?[=＝:：].{0,60}
    |관련\s?기사.{0,60}|무단\s?전재.{0,60}|사진\s?[=:].{0,60}
    |already\ (?:a\ )?(?:subscriber|member|subscribed|registered)\b.{0,80}
    |(?:get|enjoy)\ (?:unlimited|full)\ access\b.{0,200}|to\ (?:continue|keep)\ reading\b.{0,120}
    |this\ (?:article|story|post|content)\ is\ .{0,40}\b(?:subscribers|members)\b.{0,40}
    |(?:subscribe|register|sign\ up|sign\ in|log\ in)\b.{0,60}\bto\ (?:keep\ |continue\ )read.{0,80}
    |we\ use\ cookies.{0,200}|this\ (?:web)?site\ uses\ cookies.{0,200}
    )\W*$""",  # noqa: RUF001 - the dashes of bylines
    re.VERBOSE | re.IGNORECASE,
)
_MAX_WORDS = 40
_DATE = re.compile(
    r"^\W*(?:(?:mon|tues|wednes|thurs|fri|satur|sun)(?:day)?,?\ )?"
    r"(?:\d{1,2}(?:st|nd|rd|th)?\s+\w{3,9},?\s+\d{4}|\w{3,9}\.?\s+\d{1,2}(?:st|nd|rd|th)?,?\s+\d{4}"
    r"|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})"
    r"(?:\W+(?:at\s+)?\d{1,2}[:.]?\d{2}.{0,20}|\W+updated.{0,40})?\W*$",
    re.IGNORECASE,
)


# What asks readers for money, their address or their consent, wherever it stands.
_SELLS = re.compile(
    r"""\b(?:newsletters?|inbox|free\ trial|unlimited\ (?:digital\ )?access|you\ agree|privacy\ policy
    |cookie\ policy|(?:terms|conditions)\ of\ (?:use|service)|(?:this|our|the)\ (?:web)?site
    |sign\ up|log\ in|subscribers?|subscription|members?\ only|(?:a|per)\ (?:week|month|year)
    |follow\ (?:us|me)\ on|all\ (?:our|of\ our)\ (?:articles|stories)|every\ (?:story|article)
    |originally\ (?:appeared|published)|your\ e-?mail)\b|[$£€]\s?\d""",
    re.VERBOSE | re.IGNORECASE,
)


# However long it is: a paragraph that says of itself what it is.
_DISCLAIMER = re.compile(
    r"""^\W*(?:(?:legal\ )?disclaimer|haftungsausschluss|avertissement|descargo\ de\ responsabilidad
    |免责声明|免責(?:聲明|事項))\s*[:：】\]]""",  # noqa: RUF001
    re.VERBOSE | re.IGNORECASE,
)

# What readers are told about their comments. Articles say such things too: position decides.
_COMMENT_RULE = re.compile(
    r"""^\W*(?:please\ note\W+|note\W+)?(?:
    (?:all\ |your\ |new\ |reader\ |the\ )*comments?(?:\ section)?
        (?:\ (?:here|below|on\ (?:this|our)\ \w+))?
        \ (?:is|are|will\ be|may\ be)\ (?:now\ |currently\ |pre-?)?
        (?:moderated|reviewed|screened|closed|disabled|(?:switched|turned)\ off|held\ for)\b
    |(?:please\ )?keep\ (?:your\ |all\ )?comments?
        \ (?:civil|polite|respectful|on[-\ ]topic|relevant)\b
    |(?:please\ )?be\ (?:civil|kind|polite|respectful|courteous)\b(?=.*\bcomment)
    |your\ e-?mail(?:\ address)?\ will\ (?:not|never)\ be\ (?:published|shown|shared|displayed)\b
    |we\ reserve\ the\ right\ to\ (?:remove|delete|edit|moderate)\b(?=.*\bcomment)
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_MAX_WORDS_OF_RULE = 80


def is_comment_rule(text: str, words: int) -> bool:
    """Whether a paragraph tells readers what becomes of their comments."""
    return words <= _MAX_WORDS_OF_RULE and _COMMENT_RULE.match(text) is not None


def is_boilerplate(text: str, words: int) -> bool:
    """Whether a line is a date, a byline, an invitation to share or subscribe, or the like."""
    if words > _MAX_WORDS:
        return is_disclaimer(text)
    return _BOILERPLATE.match(text) is not None or _DATE.match(text) is not None


def sells(text: str) -> bool:
    """Whether a line asks its readers for money, their address or their consent."""
    return _SELLS.search(text) is not None


def is_for_readers(name: str) -> bool:
    """Whether an element is called by nothing but what readers write."""
    return set(name.split()) <= READERS | {"section", "list", "area", "the", "all"}


def is_disclaimer(text: str) -> bool:
    """Whether a paragraph says that it is one, however long it is."""
    return _DISCLAIMER.match(text) is not None
