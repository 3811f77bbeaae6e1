"""Template tags are no text; what they enclose is."""

import pytest

from twin.crawl.formats.templates import without_templates


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("{% highlight ruby %}\nputs 1\n{% endhighlight %}", "```ruby\nputs 1\n```"),
        ("{% highlight ruby linenos %}\nputs 1\n{% endhighlight %}", "```ruby\nputs 1\n```"),
        ("{%- highlight c++ -%}\nint i;\n{%- endhighlight -%}", "```c++\nint i;\n```"),
        ("{{< highlight python >}}\nx = 1\n{{< /highlight >}}", "```python\nx = 1\n```"),
        ('{{< highlight go "linenos=table" >}}\nx\n{{</ highlight >}}', "```go\nx\n```"),
        ("{% codeblock lang:ruby %}\nputs 1\n{% endcodeblock %}", "```ruby\nputs 1\n```"),
        ("{% highlight md %}\n```\na\n```\n{% endhighlight %}", "````md\n```\na\n```\n````"),
        ("{% highlight liquid %}\n{{ page.title }}\n{% endhighlight %}",
         "```liquid\n{{ page.title }}\n```"),
        ("a {% raw %}{{ x }}{% endraw %} b", "a {{ x }} b"),
        ("a {% comment %}hidden{% endcomment %} b", "a  b"),
        ("a {# hidden #} b", "a  b"),
        ("{% include note.html text=\"x\" %}\nText.", "\nText."),
        ("{% if page.x %}\nText.\n{% endif %}", "\nText.\n"),
        ("By {{ site.author }}.", "By ."),
        ("{{< notice tip >}}Mind the **gap**.{{< /notice >}}", "Mind the **gap**."),
        ("{{% notice %}}Mind.{{% /notice %}}", "Mind."),
        ('{{< figure src="/a.png" title="The gate" >}}', "![The gate](/a.png)"),
        ("{{< figure src='/a.png' alt='A' caption='C' />}}", "![A](/a.png)"),
        ('{{< figure caption="Only words" >}}', "Only words"),
        ('[a]({{< ref "other.md" >}})', "[a](other.md)"),
        ("[a]({% link _posts/2024-01-01-b.md %})", "[a](_posts/2024-01-01-b.md)"),
        ("[a]({% post_url 2024-01-01-b %})", "[a](2024-01-01-b)"),
        ("![a]({{ site.baseurl }}/a.png)", "![a](/a.png)"),
        ('![a]({{ "/a.png" | relative_url }})', "![a](/a.png)"),
        ("Text.\n{: .lead}\nMore.", "Text.\nMore."),
        ("![a](b.png){: width=\"10\" }", "![a](b.png)"),
        ("## Head {#anchor}\n", "## Head\n"),
        ("## Head {.unnumbered #x}\n", "## Head\n"),
        ("* TOC\n{:toc}\nText.", "Text."),
        ("A\n\n<!--more-->\n\nB", "A\n\n\nB"),
        ("{{</* figure src=\"a\" */>}}", "{{< figure src=\"a\" >}}"),
        # what is no tag, or is shown as such, stays
        ("`{{ x }}` and `{% y %}`", "`{{ x }}` and `{% y %}`"),
        ("```\n{{ x }}\n```", "```\n{{ x }}\n```"),
        ("```\n{% raw %}\n{{ x }}\n{% endraw %}\n```", "```\n{{ x }}\n```"),
        ("$\\mathbf{{x}}$ and $$a_{{i}}$$", "$\\mathbf{{x}}$ and $$a_{{i}}$$"),
        ("uses: ${{ secrets.KEY }}", "uses: ${{ secrets.KEY }}"),
        ("a {set} of {things}", "a {set} of {things}"),
        ("f(x) = {1, 2}", "f(x) = {1, 2}"),
        ("100{% off", "100{% off"),
        ("no end {{ here", "no end {{ here"),
        ("{% highlight ruby %}\nno end", "\nno end"),
        ("plain text", "plain text"),
    ],
)  # fmt: skip
def test_a_tag_and_what_stands_in_its_place(markdown: str, text: str) -> None:
    assert without_templates(markdown) == text


@pytest.mark.parametrize(
    "piece",
    ["{{", "{%", "{{<", "{% highlight a %}", "{{< code >}}", "`", "```\n", "{:", "{#", "$", "{{ a",
     "{% raw %}", "{{</*", "* TOC\n", "<!--"],
)  # fmt: skip
def test_a_file_of_openings_is_read_at_once(piece: str) -> None:
    without_templates(piece * (300_000 // len(piece)))
