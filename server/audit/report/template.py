"""The audit's page as a Jinja template, style included."""

from __future__ import annotations

from typing import Final

TEMPLATE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Audit of {{ told.run }}</title>
<style>
:root { color-scheme: light dark; --page: #fff; --ink: #1b1f24; --muted: #57606a; --line: #d5dae0;
  --fail: #9a3412; --pass: #3f6212; }
@media (prefers-color-scheme: dark) { :root { --page: #14171b; --ink: #e6e9ed; --muted: #a3acb7;
  --line: #363d46; --fail: #ffb58a; --pass: #b7e07a; } }
body { margin: 0 auto; max-width: 64rem; padding: 2rem 1.25rem; background: var(--page);
  color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; }
h1 { font-size: 1.8rem; line-height: 1.2; } h2 { font-size: 1.3rem; margin-top: 2.5rem; }
p { max-width: 46rem; } .muted { color: var(--muted); }
article { border-top: 1px solid var(--line); padding: .8rem 0; }
article h3 { margin: 0; font-size: 1.05rem; }
.verdict { font-weight: 700; } .fail { color: var(--fail); } .pass { color: var(--pass); }
.figures { color: var(--muted); font-size: .9rem; font-variant-numeric: tabular-nums; margin: 0; }
.card { background: #fff; border: 1px solid var(--line); border-radius: .5rem; padding: .6rem;
  margin: .3rem 0 1rem; max-width: 44rem; }
figure { margin: 1rem 0; }
.card svg { display: block; width: 100%; height: auto; }
figcaption { color: var(--muted); font-size: .9rem; }
</style>
</head>
<body>
<header>
<h1>What a curious server could learn from {{ told.run }}</h1>
<p>{{ counts.fail }} attack(s) succeed beyond their limit, {{ counts.pass }} do not,
{{ counts["not measurable"] }} could not be measured. What could not be measured is no pass.</p>
<p class="muted">Federation {{ told.federation }}, {{ told.devices }} devices, {{ told.rounds }}
rounds, head {{ told.head }}, {{ told.dimension }} numbers a feature ({{ told.features }}),
secure aggregation {{ "on" if told.secure_aggregation else "off" }},
{% if told.claim %}epsilon {{ told.claim.epsilon | number }} claimed at delta
{{ told.claim.delta | number }}{% else %}no differential privacy claimed{% endif %}.</p>
</header>
<main>
{% if pictures %}
<section><h2>Pictures</h2>
{% for title, picture in pictures %}
<figure><figcaption>{{ title }}</figcaption><div class="card">{{ picture }}</div></figure>
{% endfor %}</section>
{% endif %}
{% for view, words in views.items() %}
{% set here = told.attacks | selectattr("view", "equalto", view) | list %}
{% if here %}
<section>
<h2>Where {{ words }}</h2>
{% for a in here %}
<article>
<h3>{{ a.id }}: {{ a.title }}
<span class="verdict {{ a.verdict if a.verdict in ("pass", "fail") else "muted" }}">
{{ a.verdict }}</span></h3>
<p>{{ a.meaning }}</p>
{% if a.change %}<p><strong>What to do:</strong> {{ a.change }}</p>{% endif %}
{% if a.figure is not none %}
<p class="figures">{{ a.measure }}: {{ a.figure | number }}
{%- if a.interval %} (95 % interval {{ a.interval[0] | number }} to {{ a.interval[1] | number }})
{%- endif %}; chance {{ a.chance | number }}; fails beyond {{ a.threshold | number }}</p>{% endif %}
<p class="figures">Source: {{ a.source }}</p>
</article>
{% endfor %}
</section>
{% endif %}
{% endfor %}
</main>
</body>
</html>
"""
