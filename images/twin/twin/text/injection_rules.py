# ruff: noqa: RUF001 - letters of many alphabets
"""Words by which texts talk to the model: the patterns of `twin.text.injection`, by language.

All of them are held against texts in lower case.

An order is told from a question about such orders by what it waves aside or asks for: the model's
own rules ("your", "previous", "all of the above"), not a rule ("ignore a rule of the linter").
"""

import re

from twin.text.injection_words import GAP

#: The model's own instructions, in English: by whose they are or where they stand.
_OWN = (
    r"(?:(?:all|any|every|each|the|your|its|his|these|those|this|of|and|previous|prior|earlier|"
    r"preceding|above|former|initial|original|given|system|safety|hidden|other|old|that) )*"
    r"(?:all|any|your|its|these|those|previous|prior|earlier|preceding|above|former|initial|"
    r"original|system|safety|hidden|developer|author'?s?)(?:'s)? (?:\w+ )?"
    r"(?:instructions?|rules?|guidelines?|guidance|directives?|directions?|prompts?|restrictions?|"
    r"polic(?:y|ies)|constraints?|guardrails?|filters?|training|programming|persona|limits|"
    r"orders?)"
)
_GIVEN = (
    rf"(?:{_OWN}|(?:the )?(?:instructions?|rules?|guidelines?|restrictions?|directives?)"
    r"(?: (?:that )?(?:you (?:were|have been|got|mentioned|received|follow)|above|below|before|"
    r"about them))|(?:everything|whatever|anything|all|what) (?:\w+ ){0,3}?"
    r"(?:above|before|said|told|written|earlier)|system (?:message|prompt)|what you were told|"
    r"the (?:above|foregoing|passages?|other passages|user'?s? (?:request|question)|question)|"
    r"all other passages|what the (?:other )?passages say|earlier instructions|(?:the )?rules and)"
)
_ASIDE = (
    r"(?:ignor(?:e[ds]?|ing)|disregard(?:ing|s|ed)?|forget|overrid(?:e[sn]?|ing)|bypass|"
    r"discard(?:ed|s)?|do not (?:follow|obey|answer|use)|don'?t (?:follow|obey)|stop (?:following|"
    r"obeying)|pay no attention to|set aside|neglect|never mind|drop|violate|break|abandon|"
    r"do the opposite of|switch off|turn off|disable|deactivate|remove|lift|cancel)"
)
_FREE = (
    r"(?:unrestricted|uncensored|unfiltered|jailbroken|no (?:\w+ )?(?:rules?|limits?|restrictions?|"
    r"filters?|guidelines|constraints)|without (?:\w+ )?(?:rules?|limits?|restrictions?|filters?|"
    r"guidelines|constraints)|evil|dan\b|do anything now|anything goes)"
)
_RULES = (
    r"(?:rules?|guidance|guidelines?|instructions?|restrictions?|constraints?|directives?|"
    r"polic(?:y|ies)|filters|(?:safety|system) \w+)"
)

_SHOW = (
    r"(?:\b(?:reveal|print|show|repeat|output|display|tell me|give me|leak|recite|dump|write out|"
    r"copy(?!_)|"
    r"translate|summari[sz]e|encode|spell out|return|quote|list|put|send me|read aloud|reads aloud|"
    r"paste|disclose|what (?:is|are|was|were)(?= (?:your|the (?:exact|full|hidden|initial|"
    r"original|value))\b)|"
    r"begin|start|continue with|complete|"
    r"zeig\w*|gib|verrate\w*|nenne\w*|wie lautet|was (?:steht|ist)|"
    r"montre\w*|r[eé]v[eè]le\w*|affiche\w*|donne|quel(?:le)? est|muestra\w*|revela\w*|dime|"
    r"cu[aá]l es|mostr[ae]\w*|qual [eèé]|rivela\w*|dimmi|diga|wat is|toon|geef|"
    r"покажи|выведи|раскрой|назови|напиши|poka[zż]|ujawnij|podaj|göster|yaz)|"
    r"显示|输出|告诉我|发给我|表示|見せて|教えて|보여|출력|알려|اعرض|اكشف|اكتب|ما هي|दिखा|बता)"
)
_HIDDEN = (
    r"(?:(?:your|the) (?:(?:exact|full|raw|whole|complete|hidden|secret|initial|original|"
    r"confidential|text of|contents? of|first|last|second|half|sentence|part|words?|of|your|the|"
    r"assistant'?s?) )*(?:system ?)?(?:prompt|system message|instructions|directives|"
    r"context window|"
    r"memory)\b|"
    r"(?:hidden|secret|confidential|original|initial) (?:instructions|prompt)|"
    r"(?:text|words|everything|anything|all|line) (?:\w+ )?(?:above|before (?:this|the|it))|"
    r"dein\w* (?:\w+ )?(?:anweisungen|systemprompt|prompt)|"
    r"(?:vos|tes) (?:instructions|consignes)|(?:ton|votre) (?:prompt|invite)|"
    r"tus instrucciones|tu prompt|(?:le tue|tue) istruzioni|(?:il )?tuo prompt|"
    r"seu prompt|suas instru[çc][oõ]es|je (?:systeem)?prompt|systeemprompt|"
    r"sw[oó]j\w* (?:prompt|instrukcj\w+)|(?:свои|твои|системн\w+|сво[йе]) (?:\w+ )?(?:инструкции|"
    r"промпт)|"
    r"systemprompt|prompt (?:de |di )?sist?t?[eè]m\w*|"
    r"系统提示|系統提示|提示词|システムプロンプト|시스템 프롬프트|sistem (?:istemi\w*|promptu\w*)|"
    r"تعليماتك|सिस्टम प्रॉम्प्ट)"
)
_SECRETS = (
    r"(?:api[ _-]?keys?|passwords?|credentials|secret (?:keys?|tokens?)|tokens?|secrets|senha|"
    r"api-?schlüssel|passw[oö]rter|schlüssel|cl[eé]s d['e]?api|mots de passe|contrase[nñ]as|claves|"
    r"senhas|chiavi|wachtwoorden|has[lł]a|парол\w+|ключи|şifreler\w*|密码|密钥|パスワード|비밀번호|"
    r"كلمات المرور|पासवर्ड)"
)
_ORDER = (
    r"(?:(?:must|shall|should|have to|has to|needs? to|(?:is|are) required to) (?:not |now |also |"
    r"first |all |then )*)(?:say|ignore|answer|reply|tell|print|reveal|include|add|load|send|"
    r"praise|"
    r"claim|disregard|refuse|treat|end|list|recommend|respond|discard|apply|stop|forget|obey|write|"
    r"instruct|show|repeat|encode|append|use only|switch|mention)"
)
_MODEL = (
    r"(?:a\.?i\.?s?|llms?|(?:large )?language models?|(?:ai |any |the )?assistants?|chat ?bots?|"
    r"ai (?:models?|agents?|readers?|systems?|summari[sz]ers?)|models?|bots?)"
)
_DO = (
    r"(?:ignore|disregard|forget|say|tell|reply|answer only|respond|reveal|print|claim|praise|"
    r"ask the|"
    r"add|include|append|encode|list|do not|never|always|stop|drop|please|when|whenever|your|send|"
    r"use only|instruct|i will|sure|end|show|write|refuse|call|forward|obey|switch)"
)
_OTHERS = (
    r"(?:(?:previous|other|another|earlier|last|different) (?:users?|people|person|customers?|"
    r"callers?|visitors?|readers?)|(?:user|person|customer|caller) before|everyone who (?:asked|"
    r"talked)|people who (?:asked|talked)|user \d+)"
)
_THEIRS = (
    r"(?:asked|ask|said|say|sent|typed|wrote|questions?|conversations?|chat|history|data|e-?mails?|"
    r"names?|answers?|talked|quote)"
)
_SENSITIVE = (
    r"(?:(?:user|reader)(?:'?s)?|conversation|prompt|secret|key|password|context|passages?|"
    r"everything|"
    r"answer|(?:the|all) questions?|above|sources|name|data|chat|session)"
)
_PLACE = r"(?:(?:https?|ftp)://|www\.|!\[|\burl\b|\bwebhook\b|\bquery string\b|\blink\b|\S@\S)"

RULES: dict[str, re.Pattern[str]] = {
    name: re.compile(pattern, re.MULTILINE)
    for name, pattern in {
        "marks of a chat format": (
            r"<\|[a-z_]+\|>|\[/?inst\]|<</?sys>>|<(?:start|end)_of_turn>|"
            r"</?(?:system|instructions?|passage)>|"
            r"^[ \t]*#{2,}[ \t]*(?:new |updated )?(?:system|instructions?)\b|"
            r"#{2,} {0,3}(?:system|instructions?) {0,3}:|"
            r"(?:^[ \t]*|[.!?>]\s+)(?:system|assistant) {0,3}:"
            r"(?! (?:unit|linux|windows|macos|darwin)\b)|"
            r"\[(?:system|ai instructions?)\]|"
            r"\b(?:begin|end|start) (?:system )?override\b|\bsystem override\b|"
            r"\bignore_rules\b"
        ),
        "another role": (
            r"\byou are (?:now|no longer)\b|\byou have been (?:jailbroken|freed|unlocked)|"
            r"\bfrom (?:now|here) on,? (?:in \w+ \w+ \w+, )?(?:you|act|respond|reply|speak)\b|"
            r"\bact (?:like|as) (?:a|an|my|if) (?:terminal|shell|linux|interpreter|different|new|"
            r"personal|unaligned)|"
            r"\b(?:enter|switch (?:in)?to|activate|enable|continue in|now in|this is an?|in the) "
            r"(?:\w+ )?(?:developer|debug|god|admin|maintenance|dan|unrestricted|jailbreak) mode\b|"
            r"\b(?:cannot|can't|never|not) refuse\b|\brole ?play in which you\b|"
            r"\bbreak(?:ing)? character\b|\bfactory settings\b|\boff duty\b|"
            r"\b(?:you may|you can|free to) (?:now )?say (?:whatever|anything|what) you\b|"
            r"\bas if you (?:had|were|have) (?:never|no|not)\b|\byour only rule\b|"
            r"\bfor the rest of (?:this|the|our) (?:chat|conversation|session),? you are\b|"
            r"\btreat my (?:messages|words|input|text) as\b|"
            r"\b(?:an ai|a model|assistant) (?:that|which|who) (?:has been|was|is) hacked\b|"
            r"\banswer as the (?:base|raw|plain) model\b|\bsuspend your\b|"
            r"\b(?:put|leave) the passages (?:aside|out)\b|\bwho has no (?:boundaries|limits)\b|"
            r"\bnot mention (?:the passages|your rules)\b|"
            r"\bdo anything now\b|\bdan (?:enabled|mode)\b|\bstop being the author\b|"
            r"\b(?:new|updated|real|actual|your new) (?:instructions?|system prompt|task|orders?|"
            r"polic(?:y|ies))\s{0,3}(?::|are\b|follow|is ?:|is to\b)(?! move)|"
            r"\bas (?:your|the) (?:developer|administrator|creator|owner|admin)\b|"
            r"\bi am (?:the|your) (?:administrator|developer|creator|owner|admin)\b|"
            r"\b(?:comply with|obey) (?:all |me\b|the user|my )|\byou obey\b|"
            r"\bdu bist (?:jetzt|ab sofort|nun)\b|\btu es (?:maintenant|d[eé]sormais)\b|"
            r"\bvous [eê]tes (?:maintenant|d[eé]sormais)\b|\bahora eres\b|\bora sei\b|"
            r"\bagora voc[eê] [eé]\b|\bтеперь ты\b|\bjeste[sś] teraz\b|\bartık sen\b|"
            r"你现在是|你現在是|あなたは今から|이제부터 너는|أنت الآن"
        ),
        "free of rules": (
            rf"\b(?:act|behave|respond|pretend|answer|speak|imagine|you are|you have|be|are|play|"
            rf"as|like|with|there are|i have|an ai)\b[^.\n]{{0,60}}\b{_FREE}"
        ),
        "lifts rules": (
            rf"\b(?:your|the|all|previous|prior|earlier|these|our|of|and) (?:\w+ ){{0,3}}?{_RULES} "
            r"(?:\w+ ){0,4}?(?:(?:is|are|was|were|no longer|now|have been|has been) )+"
            r"(?:void|lifted|cancell?ed|suspended|a mistake|outdated|updated|appl(?:y|ies)|gone|"
            r"disabled|removed|revoked|over)|"
            r"\beverything you were (?:configured|trained|told|programmed)\b|"
            r"\bnone of (?:the|your|these) rules\b|"
            r"\bnothing (?:the system|you were|that you were)\b|"
            r"\b(?:over|instead of) the system (?:message|prompt)\b|"
            r"\bdo not apply\b[^\n]{0,40}\bobey\b|"
            r"\bdoes not apply in this (?:chat|conversation)"
        ),
        "free of rules, in other languages": (
            r"ohne (?:jed\w+ |jeglich\w+ )?(?:einschränkung|regel|beschränkung)|"
            r"keine(?:rlei)? regeln|"
            r"regeln gelten .{0,20}nicht|"
            r"sans (?:aucune )?(?:restriction|r[eè]gle|limite|filtre)|plus (?:aucune|de) r[eè]gle|"
            r"sin (?:ning\w+ )?(?:restricci|regla|l[ií]mite|filtro)|no tuvieras reglas|"
            r"senza (?:alcun\w+ |nessun\w+ )?(?:restrizion|regol|limit|filtr)|"
            r"sem (?:nenhum\w+ |quaisquer )?(?:restri|regra|limite|filtro)|"
            r"zonder (?:enige )?(?:beperking|regels)|geen regels|"
            r"bez (?:[zż]adnych )?(?:ogranicze|zasad|filtr|pravidel|omezen)|"
            r"без (?:каких-либо |всяких )?(?:ограничен|правил|фильтр)|нет (?:никаких )?правил|"
            r"kural\w* yok|hi[cç]bir kural|s[ıi]n[ıi]rs[ıi]z|k[ıi]s[ıi]tlama olmadan|"
            r"没有(?:任何)?(?:限制|规则)|不受限制|无限制地|制限(?:なし|のない)|ルール(?:なし|のない)|"
            r"제한 ?없|규칙 ?없|(?:بدون|بلا) (?:أي )?(?:قيود|قواعد)|बिना किसी (?:नियम|प्रतिबंध)|"
            r"không (?:có )?(?:quy tắc|giới hạn|hạn chế)|tanpa (?:batasan|aturan)|"
            r"utan (?:regler|begr[aä]nsning)|uden (?:regler|begr[aæ]nsning)|ilman (?:s[aä][aä]nt|"
            r"rajoit)|"
            r"f[aă]r[aă] (?:restric|reguli|limite)|χωρίς (?:κανόν|περιορισμ)|"
            r"(?:ללא|בלי) (?:הגבלות|כללים)|n[eé]lk[uü]l (?:szab[aá]ly|korl[aá]t)"
        ),
        "asks for what is hidden": (
            rf"{_SHOW}{GAP}{_HIDDEN}|{_HIDDEN}{GAP}"
            r"(?:显示|输出|告诉|发给|表示して|見せて|教えて|보여|출력|알려|zeigen|ausgeben|anzeigen|yaz|"
            r"göster|दिखा|اكتب)|"
            r"\b(?:prompt|instructions|context|system message)\b[^.,\n]{0,60}\b(?:verbatim|"
            r"word for "
            r"word|word by word|in full|letter by letter)\b|"
            r"\b(?:which|what) (?:\w+ )?(?:rules|instructions|orders) (?:were|are|"
            r"have) you (?:been )?"
            r"given\b|\b(?:print|show|dump|give me|describe|list) your (?:\w+ )?(?:configuration|"
            r"config|settings|setup|instructions)\b|\bwhat does your (?:system )?prompt say\b|"
            r"\bcharacters of this conversation\b|\bmessages? (?:that precedes?|above|before) "
            r"(?:mine|this one|including)\b|\bgo through your instructions\b|"
            r"\btext between the start\b|\btext of the messages above\b|"
            r"\bthe developer wrote before\b|\bwhat were you told\b|\binstructions did (?:the|"
            r"your) developers? give you\b|"
            r"\b(?:stands?|is|written) in your (?:system )?prompt\b|\byour hidden \w+|"
            r"\b(?:raw|whole|entire) prompt\b"
        ),
        "asks for secrets": (
            rf"\b{_SHOW}[^.!?\n]{{0,40}}?\b(?:all|every|any|the|your|those|of)\b[^.!?\n]{{0,20}}?"
            rf"{_SECRETS}[^.!?\n]{{0,40}}?\b(?:you|your|context|server|configuration|setup|used to|"
            r"memory|debugging|seen)\b|"
            rf"(?:{_SHOW}|keep going|donne-moi|gib mir|dime|diga)[^.!?\n]{{0,40}}?{_SECRETS}"
            r"[^.!?\n]{0,40}?(?:kontext|kennst|conna[iî]s|conoces|conhece|conosci|kent|znasz|"
            r"знаешь|in the context|you (?:know|started|were given|have seen)|biliyorsun)|"
            r"\bcredentials in the (?:documents|passages|texts)\b[^\n]{0,30}print|"
            r"\bpassword (?:that )?you have\b|"
            rf"\b(?:keep going|go on|continue|show|print|output|dump|put|give)\b[^.\n]{{0,30}}"
            rf"\b(?:with|the|any|rest of)\b[^.\n]{{0,30}}{_SECRETS}[^.\n]{{0,20}}"
            r"(?:you (?:started|had)|in (?:the|your) context|$)|"
            r"\benvironment variables? [a-z_]{3,}[^.\n]{0,20}your server|"
            rf"\bthe rest of the {_SECRETS}|\b{_SECRETS} in (?:your|the) context\b|"
            r"(?:知道|know).{0,6}(?:密码|密钥)|e diga a senha"
        ),
        "asks for what is another's": (
            rf"(?:\b(?:show|list|tell|give|print|repeat|quote|go back|reveal|add|dump|"
            r"(?:which|what)[^.!?\n]{0,25}\bdid)\b)"
            rf"[^.!?\n]{{0,60}}?{_OTHERS}[^.!?\n]{{0,30}}?\b{_THEIRS}|"
            rf"\b(?:show|list|tell|give|print|repeat|quote|go back|reveal|add|"
            rf"dump)\b[^.!?\n]{{0,60}}?"
            rf"\b{_THEIRS}[^.!?\n]{{0,40}}?{_OTHERS}|"
            r"\bwho else (?:talked|spoke|wrote) to you\b|\bgave to (?:someone|somebody|anybody) "
            r"else\b|\btell me what [a-z]\w+ (?:asked|told|said)\b|"
            r"^\W*export all (?:the )?conversations\b|"
            r"\bconversations? (?:that )?you had before\b|\bwith the other user\b|"
            r"\b(?:person|user|one) before me\b|\bkey of another\b|"
            r"nutzer vor mir|anderen? nutzer\w* .{0,20}(?:gefragt|fragen)|fragen der anderen|"
            r"(?:questions|conversations?) des autres|autres utilisateurs|usuario anterior|"
            r"otros usuarios|utenti? precedent|altri utenti|usu[aá]rio anterior|outros usu[aá]rios|"
            r"vorige gebruiker|andere gebruikers|innych u[zż]ytkownik|других пользовател|"
            r"предыдущ\w+ пользовател|其他用户|上一个用户|前のユーザー|他のユーザー|"
            r"다른 사용자|이전 사용자|"
            r"المستخدمين الآخرين|दूसरे उपयोगकर्ता"
        ),
        "sends something away": (
            rf"\b(?:send|post|append|attach|forward|exfiltrate|upload|include|embed|put|leak|add|"
            rf"e-?mail|transmit|deliver|write|show|load|encode|render|end)\b[^.\n]{{0,80}}?"
            rf"\b{_SENSITIVE}s?\b[^.\n]{{0,60}}?{_PLACE}|"
            rf"\b(?:append|embed|render|load|show|include|end every answer with)\b[^.\n]{{0,40}}"
            r"(?:\[|!\[|https?://)[^\n]{0,120}(?:[?&]\w*=|/n\b|link|image|evil)|"
            r"\[[^\]\n]{0,80}\]\([^)\s]{0,100}[?&][^)\s]{0,100}=\s{0,3}(?:\{|<|\[|\$|%7b|"
            r"[a-z_]{4,})|"
            r"!\[[^\]\n]{0,80}\]\((?:https?:)?//[^)\s]{0,100}[?&]|"
            r"https?://\S{1,200}[?&]\w{1,20}= ?(?:followed|with|and|$)"
        ),
        "speaks to the model": (
            r"\b(?:note|message|instructions?|attention|important|reminder|notice|"
            r"order)\b[^.\n]{0,20}"
            r"\b(?:to|for) (?:the |any |all )?(?:ai|llms?|language models?|assistants?|chatbots?|"
            r"models? (?:being|reading)|model:|bots?)\b(?! in the registry)|"
            r"\b(?:if|when) you(?:'re| are) (?:an? )?(?:ai|llm|language model|assistant|chatbot|"
            r"bot)\b"
            r"(?=,[^?\n]{0,200}(?:[.!]|$))|"
            r"\b(?:dear|hey|hello|attention),? (?:ai|llm|language model|assistant|chatbot)s?\b|"
            r"\b(?:ai|llm|assistant|language model)s? (?:reading|processing|summari[sz]ing|"
            r"answering "
            r"from) this\b|"
            rf"\b{_MODEL}\b[^.!?\n]{{0,80}}?\b{_ORDER}\b|"
            rf"(?:^|[.!?\n(<>\-]\s*){_MODEL}\s*[,:] *{_DO}\b|"
            r"\bto the (?:language )?model (?:reading|that reads|answering)\b|"
            r"\b(?:whoever|any\w*|you)[^.\n]{0,30}(?:answers?|reads?|process\w*|"
            r"summari[sz]\w+)[^.\n]"
            r"{0,20}\bthis (?:passage|page|text)\b[^.\n]{0,30}\b(?:must|should)|"
            r"\byou, the ai\b|\bas an ai model you\b|\bwhen this passage is retrieved\b|"
            r"\bthe (?:assistant|model) shall\b"
        ),
    }.items()
}

#: Without any of these a rule is not met: quick to look for in a text in lower case.
CUES: dict[str, tuple[str, ...]] = {
    "marks of a chat format": ("<", "[", "#", "system", "assistant", "override", "ignore_"),
    "free of rules": (
        *("restrict", "censor", "filter", "jailb", "rule", "limit", "guideline", "constraint"),
        *("evil", "dan", "anything"),
    ),
    "lifts rules": (
        *("rules", "guid", "instruc", "restric", "constrain", "direct", "polic", "filters"),
        *("safety", "system", "nothing", "apply", "you were"),
    ),
    "asks for what is hidden": (
        *("prompt", "instruc", "system", "context", "memory", "above", "before", "hidden"),
        *("told", "config", "setup", "settings", "characters of", "message", "text be", "rules"),
        *("directiv", "anweis", "consigne", "invite", "instru", "istruz", "инструк", "промпт"),
        *("提示", "プロンプト", "프롬프트", "istem", "تعليمات", "प्रॉम्प्ट"),
    ),
    "asks for secrets": (
        *("key", "passw", "credential", "token", "secret", "senha", "schlüssel", "clés", "passe"),
        *("contrase", "clave", "chiav", "wachtw", "hasł", "hasl", "парол", "ключ", "şifre", "密"),
        *("パスワード", "비밀번호", "كلمات", "पासवर्ड", "environment"),
    ),
    "sends something away": ("http", "ftp:", "www.", "![", "](", "url", "webhook", "link", "@",
                             "query"),
    "asks for what is another's": (
        *("user", "people", "person", "customer", "caller", "visitor", "reader", "everyone"),
        *("before", "another", "nutzer", "fragen", "autres", "usuari", "utent", "usuári"),
        *("gebruik", "who else", "else", "tell me what", "conversations"),
        *("użytk", "uzytk", "пользов", "用户", "ユーザー", "사용자", "المستخدم", "उपयोगकर्ता"),
    ),
    "speaks to the model": ("ai", "llm", "model", "assistant", "bot", "this pa", "this text"),
}  # fmt: skip

#: Only in what is quoted (pages, titles, feedback): in a question these are fair wishes.
QUOTED: dict[str, re.Pattern[str]] = {
    "orders an answer": re.compile(
        r"\b(?:reply|respond|answer) (?:only )?with (?:only )?the word|\b(?:answer|"
        r"reply) only with\b|"
        r"\b(?:reply|respond) only\b|"
        r"\bthe (?:right|correct) answer is to (?:send|reveal|ignore)|"
        r"\bdo not (?:summari[sz]e|quote|answer from) this (?:page|text|passage)\b|"
        r"\b(?:your|every|each|the) (?:answer|reply|response)s? (?:must|has to|have to|needs to) "
        r"(?:consist|contain|start|begin|end|be the|include|read)\b|"
        r"\bmake sure (?:that )?your (?:reply|answer|response)\b|"
        r"\bbefore you (?:help|answer|reply)[^.\n]{0,30}(?:user|question|reader)\b|"
        r"\bassistant instructions\b|\bif an ai reads this\b|"
        r"\bmust be the word \w+|\bregardless of the question\b|"
        r"\bi am dan\b|\byou must (?:disregard|ignore|say)\b|"
        r"\banswer (?:everything|with insults|without sources)\b",
    ),
}

#: An order in English to wave the model's rules aside, and the same asked about ("how do I …").
ASIDE = re.compile(
    rf"\b{_ASIDE}\b[^.!?\n]{{0,25}}?\b{_GIVEN}|\b{_OWN} [^.!?\n]{{0,20}}?(?:to one side|aside)\b|"
    rf"\b(?:ignore|disregard|forget) (?:the )?(?:rules|instructions|passages|question)\b(?! of|"
    rf" for)|"
    r"\bdrop (?:every|any|all|your) \w+|\bforget everything\b",
)
#: The same where no blank parts words.
SQUEEZED = re.compile(
    r"(?:ignore|disregard|forget|override)[a-z]{0,20}(?:instructions|rules|guidelines|prompt)|"
    r"(?:reveal|print|show|repeat)[a-z]{0,20}(?:instructions|prompt|passwords?|apikeys?)",
)
#: Who asks how to do something orders nothing.
ASKING = re.compile(
    r"\s*(?:and |so |but )?(?:how|when|why|where|which|should|can|could|may|must|does|do(?! not)|"
    r"did|is|are|"
    r"who|what (?:happens|is))\b[^.!?\n]{0,25}?\b(?:i|we|the(?! (?:assistant|model))|an?|one|it|"
    r"they|"
    r"there|somebody|users?|debug|developer|(?:other|previous) users?)\b",
)
