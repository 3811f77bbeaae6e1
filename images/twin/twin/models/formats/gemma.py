"""The turn format of Gemma, as the Jinja template that its pretrained base models are given.

Source: Gemma's published prompt structure (``<start_of_turn>user … <end_of_turn>``). The base
model comes without a template, so preparing it (`twin.models.bases.base_models`) puts this one
into its tokenizer; from there training, evaluation and serving all read the same one.

In one thing it differs: an answer ends with ``<eos>``. The base model is a pretrained one. To it
``<end_of_turn>`` is a word that never was (e⁻³³ at the end of a text, ``<eos>`` e⁻⁵), with the same
vector as 6,000 unused ones, so what it learnt from a few hundred answers was to end in any of them.
"""

START_OF_TURN = "<start_of_turn>"
END_OF_TURN = "<end_of_turn>"

CHAT_TEMPLATE = """\
{{- bos_token -}}
{%- if messages[0]['role'] == 'system' -%}
  {%- set prefix = messages[0]['content'] | trim + '\n\n' -%}
  {%- set turns = messages[1:] -%}
{%- else -%}
  {%- set prefix = '' -%}
  {%- set turns = messages -%}
{%- endif -%}
{%- for message in turns -%}
  {%- if message['role'] not in ['user', 'assistant'] -%}
    {{- raise_exception('a turn is of user or assistant, and only the first may be of system') -}}
  {%- endif -%}
  {%- if message['role'] == 'assistant' -%}
    {{- '<start_of_turn>model\n' -}}
    {%- generation -%}{{- message['content'] | trim + eos_token -}}{%- endgeneration -%}
    {{- '\n' -}}
  {%- else -%}
    {{- '<start_of_turn>user\n' + (prefix if loop.first else '') -}}
    {{- message['content'] | trim + '<end_of_turn>\n' -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<start_of_turn>model\n' -}}{%- endif -%}
"""
"""Gemma has no system role: a system message becomes the head of the first user turn. The
``generation`` markers tell a trainer which tokens are the model's own."""
