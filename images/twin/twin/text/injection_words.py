# ruff: noqa: RUF001 - letters of many alphabets
"""How texts wave a model's instructions aside, by language: verbs, and what they wave aside.

Data of `twin.text.injection`; English has rules of its own (`twin.text.injection_rules`).
"""

#: Verbs that wave something aside, then what is waved aside, by language; in between at most some
#: words. Both orders, since languages differ.
WAVED = {
    "de": (
        r"ignorier\w*|vergiss|vergessen sie|missachte\w*|umgeh\w*|befolge .{0,20}nicht|"
        r"setze? dich [uü]ber|halte dich nicht|beachte .{0,30}nicht|streich\w*",
        r"(?:deine|alle|bisherige|vorherige|obige|frühere|ursprüngliche|die|gegebene)\w* "
        r"(?:\w+ )?(?:anweisung\w*|regeln?|vorgaben?|instruktion\w*|richtlinien?|systemprompt)|"
        r"(?:was|alles).{0,20}(?:davor|vorher|oben)",
    ),
    "fr": (
        r"ignor(?:e|ez|er)|oubli(?:e|ez|er)|ne (?:suis|suivez|tiens|tenez)|contourne\w*|"
        r"fais abstraction|faites abstraction|laisse tomber|moque-toi",
        r"(?:tes|vos|toutes|ces|les) (?:\w+ )?(?:instructions?|consignes?|r[eè]gles?|directives?)|"
        r"(?:instructions?|consignes?|r[eè]gles?|directives?) (?:pr[eé]c[eé]dent|ci-dessus)|"
        r"invite syst[eè]me|ce qui pr[eé]c[eè]de",
    ),
    "es": (
        r"ignor(?:a|e|en|ar)|olvid(?:a|e|en|ar|ate)|omit(?:e|a|ir)|hagas caso|haz caso omiso|"
        r"no sigas|descarta|pasa por alto",
        r"(?:tus|sus|todas|las|los|estas|esas) (?:\w+ )?(?:instrucci[oó]n(?:es)?|reglas?|"
        r"indicaciones|directrices|[oó]rdenes|normas)|lo anterior",
    ),
    "it": (
        r"ignor(?:a|ate|are)|dimentica\w*|non seguire|trascura|lascia perdere|non tenere conto",
        r"(?:tue|tutte|le|queste) (?:\w+ )?(?:istruzion[ei]|regol[ae]|direttive|indicazioni)|"
        r"quanto sopra",
    ),
    "pt": (
        r"ignor(?:e|a|em|ar)|esque[çc]a\w*|desconsidere|n[aã]o siga|n[aã]o leve em conta|"
        r"deixe de lado",
        r"(?:suas|tuas|todas|as|essas|estas) (?:\w+ )?(?:instru[çc](?:[aã]o|[oõ]es)|regras?|"
        r"diretrizes|orienta[çc][oõ]es)",
    ),
    "nl": (
        r"negeer|vergeet|volg .{0,20}niet|trek je niets aan|lap .{0,20}aan je laars",
        r"(?:je|jouw|alle|de|deze) (?:\w+ )?(?:instructies?|regels?|richtlijnen|aanwijzingen)",
    ),
    "pl": (
        r"zignoruj|ignoruj|zapomnij|pomi[nń]|nie zwracaj uwagi|nie przestrzegaj",
        r"(?:wszystki\w+|swoi\w+|wcze[sś]niejsz\w+|poprzedni\w+|twoi\w+|o|na) (?:\w+ )?"
        r"(?:instrukcj\w+|polece\w+|zasad\w*|regu[lł]\w*|wskaz[oó]w\w*)|"
        r"(?:instrukcj\w+|polece\w+|zasad\w*) (?:wcze|poprz|powy)",
    ),
    "cs": (r"zapome[nň]|ignoruj|nedbej", r"pravid\w+|pokyn\w*|instrukc\w+"),
    "ru": (
        r"игнорируй\w*|проигнорируй\w*|забудь\w*|не обращай внимания|отбрось|не учитывай|"
        r"не следуй|наплюй",
        r"инструкци\w+|указани\w+|правил\w*|предписани\w+",
    ),
    "uk": (r"ігноруй\w*|проігноруй\w*|забудь\w*|не зважай", r"інструкці\w+|вказів\w+|правил\w*"),
    "tr": (
        r"yok say(?!ar)|g[oö]rmezden gel|unut|dikkate alma|uymadan|umursama",
        r"talimat\w*|kural\w*|y[oö]nerge\w*|komut\w*",
    ),
    "sv": (
        r"ignorera|gl[oö]m|strunta i|bortse fr[aå]n",
        r"(?:dina|alla|tidigare|de) (?:\w+ )?(?:instruktioner\w*|regler\w*|anvisningar\w*)",
    ),
    "da": (
        r"ignor[ée]r|glem|se bort fra",
        r"(?:dine|alle|tidligere|de) (?:\w+ )?(?:instruktioner\w*|regler\w*|instrukser\w*)",
    ),
    "fi": (r"unohda|ohita|j[aä]t[aä] huomiotta|[aä]l[aä] v[aä]lit[aä]", r"ohje\w*|s[aä][aä]nn\w*"),
    "ro": (r"ignor[aă]|uit[aă]|nu ține cont", r"instruc[tț]iuni\w*|regul\w+"),
    "hu": (r"figyelmen k[ií]v[uü]l|felejts\w*|hagyd", r"utas[ií]t[aá]s\w*|szab[aá]ly\w*"),
    "el": (r"αγν[οό]ησ\w+|ξ[εέ]χασ\w+|παρ[αά]βλεψ\w+", r"οδηγ[ιί]ες|καν[οό]νες|εντολ[εέ]ς"),
    "he": (r"תתעלם|התעלם|תשכח|שכח", r"ההוראות|הוראות|הכללים|כללים|ההנחיות"),
    "zh": (
        r"忽略|无视|忘记|忘掉|不要遵守|不要理会|别管|忽視|無視|忘記",
        r"指令|指示|规则|規則|提示词|提示詞|设定",
    ),
    "ja": (r"無視し|無視す|忘れて|忘れろ|従わない|従うな", r"指示|命令|ルール|規則|プロンプト"),
    "ko": (r"무시해|무시하고|무시하라|잊어|잊으|따르지 마", r"지시|명령|규칙|지침|프롬프트"),
    "ar": (r"تجاهل|انس[َى]?|لا تتبع", r"التعليمات|تعليماتك|القواعد|الأوامر|التوجيهات"),
    "hi": (r"अनदेखा|नज़रअंदाज़|भूल जा", r"निर्देश\w*|नियम\w*|आदेश\w*"),
    "vi": (r"bỏ qua|quên|phớt lờ", r"hướng dẫn|chỉ thị|quy tắc|chỉ dẫn|lệnh trước"),
    "id": (r"abaikan|lupakan|jangan ikuti", r"instruksi|perintah|aturan|petunjuk"),
}
#: What is waved aside begins with one of these, by language: quick to look for.
STEMS = {
    "de": (
        "anweis",
        "regel",
        "vorgab",
        "instruk",
        "richtlin",
        "systempr",
        "davor",
        "vorher",
        "oben",
    ),
    "fr": ("instruct", "consigne", "regle", "règle", "directive", "invite", "ce qui"),
    "es": ("instruc", "regla", "indicac", "directri", "orden", "órden", "norma", "anterior"),
    "it": ("istruz", "regol", "direttiv", "indicaz", "sopra"),
    "pt": ("instru", "regra", "diretriz", "orienta"),
    "nl": ("instruct", "regel", "richtlijn", "aanwijz"),
    "pl": ("instruk", "polece", "zasad", "regu", "wskaz"),
    "cs": ("pravid", "pokyn", "instrukc"),
    "ru": ("инструк", "указан", "правил", "предпис"),
    "uk": ("інструк", "вказів", "правил"),
    "tr": ("talimat", "kural", "yönerge", "yonerge", "komut"),
    "sv": ("instruk", "regler", "anvis"),
    "da": ("instruk", "regler"),
    "fi": ("ohje", "sään", "saan"),
    "ro": ("instruc", "regul"),
    "hu": ("utas", "szab"),
    "el": ("οδηγ", "κανό", "καν", "εντολ"),
    "he": ("הורא", "כללי", "ההנחיות"),
    "zh": ("指", "规", "規", "提示", "设定"),
    "ja": ("指示", "命令", "ルール", "規則", "プロンプト"),
    "ko": ("지시", "명령", "규칙", "지침", "프롬프트"),
    "ar": ("تعليمات", "القواعد", "الأوامر", "التوجيهات"),
    "hi": ("निर्देश", "नियम", "आदेश"),
    "vi": ("hướng dẫn", "chỉ", "quy tắc", "lệnh"),
    "id": ("instruksi", "perintah", "aturan", "petunjuk"),
}
#: Scripts that set no blanks between words, or none that a word border would be seen at.
UNSPACED = ("zh", "ja", "ko", "ar", "hi", "he")
GAP = r"[^.!?\n]{0,50}?"
