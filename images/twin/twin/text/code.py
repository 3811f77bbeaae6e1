"""Where code and formulas stand in Markdown: what no rule about prose may touch."""

import re

#: Fences (an open one reaches to the end), code spans, and formulas: displayed, inline, as LaTeX's
#: environments. A dollar begins one only where a word touches it, as in Pandoc: $5 and $10 do not.
#: What nothing closes is looked for within bounds, since a line may have a megabyte.
CODE = re.compile(
    r"^(?:[^\S\n]|>)*(?P<fence>`{3,}|~{3,})[^\n]*\n"
    r"(?:.*?^(?:[^\S\n]|>)*(?P=fence)[`~]*[^\S\n]*$|.*)"
    r"|(?<!`)(?P<ticks>`+)(?!`)[^\n]{0,10000}?(?<!`)(?P=ticks)(?!`)"
    r"|\$\$.*?\$\$"
    r"|(?<![\\$])\$(?=[^\s$])[^$\n]{0,500}(?<![\s\\$])\$(?![\d$])"
    r"|\\\((?:[^\\\n]|\\[^()\n]){0,500}\\\)|\\\[(?:[^\\]|\\[^][]){0,4000}\\\]"
    r"|\\begin\{(?P<environment>[a-z]{1,20}\*?)\}(?:(?!\\begin\{(?P=environment)).){0,4000}?"
    r"\\end\{(?P=environment)\}",
    re.MULTILINE | re.DOTALL,
)
