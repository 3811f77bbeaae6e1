"""Chat templates for pretrained base models, which come without one.

Both end an answer with the token that ends a document: the only end that a base model has seen.
"""

from collections.abc import Set
from typing import Any

from twin.domain.errors import BadDataError
from twin.models.formats import gemma
from twin.models.formats.families import TURN_ENDS

HEADINGS = ("### System:", "### Instruction:", "### Response:")
"""Lines that begin the turns of `PLAIN_TEMPLATE`; texts may not write them."""

PLAIN_TEMPLATE = """\
{%- for message in messages -%}
  {%- if message['role'] == 'system' -%}
    {{- '### System:\n' + message['content'] | trim + '\n\n' -}}
  {%- elif message['role'] == 'user' -%}
    {{- '### Instruction:\n' + message['content'] | trim + '\n\n' -}}
  {%- elif message['role'] == 'assistant' -%}
    {{- '### Response:\n' -}}
    {%- generation -%}{{- message['content'] | trim + eos_token -}}{%- endgeneration -%}
    {{- '\n\n' -}}
  {%- else -%}
    {{- raise_exception('a turn is of system, user or assistant') -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '### Response:\n' -}}{%- endif -%}
"""
"""Headings in plain words, as in Alpaca's format: a base model has read such text."""


def base_template(tokenizer: Any, end_ids: Set[int]) -> str:
    """The template for a tokenizer without one.

    Raises:
        BadDataError: the tokenizer belongs to no base model, so a template of its own is missing,
            or it has no token that ends a text.
    """
    name = tokenizer.name_or_path
    if tokenizer.eos_token is None:
        raise BadDataError(f"{name}: the tokenizer has no chat template and no eos token")
    ends = {tokenizer.eos_token, *tokenizer.convert_ids_to_tokens(sorted(end_ids))}
    if taught := sorted(ends & TURN_ENDS):
        raise BadDataError(
            f"{name}: the tokenizer has no chat template, but the model ends its turns with "
            f"{taught[0]}, so it is no base model: add its chat_template.jinja"
        )
    known = tokenizer.get_added_vocab()
    if gemma.START_OF_TURN in known and gemma.END_OF_TURN in known:
        return gemma.CHAT_TEMPLATE
    begins = tokenizer.encode("a")[:1] == [tokenizer.bos_token_id]
    return ("{{- bos_token -}}\n" if begins else "") + PLAIN_TEMPLATE
