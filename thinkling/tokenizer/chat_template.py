"""The chat protocol once more, in Jinja: what transformers' ``apply_chat_template`` runs.

It writes the same characters that ``chat.render`` writes. A turn is a dict: ``role``, ``content``, and for
the assistant optionally ``reasoning_content`` (its thinking, the key that Qwen3 and DeepSeek use). With
``add_generation_prompt`` the assistant's header follows; ``enable_thinking=True`` opens its thinking.
"""

TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' -}}"
    "{%- if message['reasoning_content'] is string -%}"
    "{{- '<think>' + message['reasoning_content'] + '</think>' -}}"
    "{%- endif -%}"
    "{%- if message['role'] == 'tool' -%}"
    "{{- '<tool_response>' + message['content'] + '</tool_response>' -}}"
    "{%- elif message['content'] is string -%}"
    "{{- message['content'] -}}"
    "{%- endif -%}"
    "{%- for call in message['tool_calls'] or [] -%}"
    "{{- '<tool_call>' + (call['function'] | tojson) + '</tool_call>' -}}"
    "{%- endfor -%}"
    "{{- '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}"
    "{{- '<|im_start|>assistant\\n' -}}"
    "{%- if enable_thinking is defined and enable_thinking -%}{{- '<think>' -}}{%- endif -%}"
    "{%- endif -%}"
)
