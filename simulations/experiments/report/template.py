"""The page of all experiments. A Python file, since Flower ships no other text file with an app."""

from __future__ import annotations

from typing import Final

TEMPLATE: Final = r"""{% set left = ' class="left"' | safe %}
{% macro mark(part) %}
{% if part.synthetic %}<strong class="mark">SYNTHETIC</strong> {% endif %}
{% endmacro %}
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none';
 style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{% if synthetic %}SYNTHETIC: {% endif %}Mien experiments</title>
<style>
{% include "report.css" %}
</style>
</head>
<body>
<header>
<p class="eyebrow">Mien experiment report</p>
<h1>
{% if synthetic %}<strong class="mark">SYNTHETIC</strong> {% endif %}
{{ parts | length }} experiment{{ "" if parts | length == 1 else "s" }}
</h1>
{% if synthetic %}
<div class="banner"><p><strong class="mark">SYNTHETIC data.</strong> Figures marked so are of
faces that were drawn, not filmed. They show that the experiments run; they say nothing of accuracy
on people.</p></div>
{% endif %}
<ul>
{% for part in parts %}
<li><a href="#{{ part.name }}">{{ part.title }}</a></li>
{% endfor %}
</ul>
</header>
<main>
{% for part in parts %}
<section aria-labelledby="{{ part.name }}">
<h2 id="{{ part.name }}">{{ mark(part) }}{{ part.title }}</h2>
<pre><code>{{ part.command | visible }}</code></pre>
{% for words in part.section.words %}
<p>{{ words | visible }}</p>
{% endfor %}
{% for missing in part.missing %}
<p>Not here: <code>{{ missing.name | visible }}</code>, {{ missing.reason | visible }}</p>
{% endfor %}
{% for picture in part.pictures %}
<figure>
<figcaption>{{ mark(part) }}{{ picture.title | visible }}. {{ part.stamp | visible }}</figcaption>
<div class="card">
{% if picture.narrow %}
<div class="wide">{{ picture.wide }}</div>
<div class="narrow">{{ picture.narrow }}</div>
{% else %}
{{ picture.wide }}
{% endif %}
</div>
</figure>
{% endfor %}
{% for table in part.section.tables %}
<div class="scroll" role="region" tabindex="0" aria-label="{{ table.title | visible }}">
<table>
<caption>{{ mark(part) }}{{ table.title | visible }}. {{ part.stamp | visible }}</caption>
<thead><tr>
{% for column in table.columns %}
<th scope="col"{{ left if loop.index0 < table.labels }}>{{ column | visible }}</th>
{% endfor %}
</tr></thead>
<tbody>
{% for row in table.rows %}
<tr>
{% for cell in row %}
{% if loop.first %}
<th scope="row">{{ cell | visible }}</th>
{% else %}
<td{{ left if loop.index0 < table.labels }}>{{ cell | visible }}</td>
{% endif %}
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table>
</div>
{% for note in table.notes %}
<p>{{ note | visible }}</p>
{% endfor %}
{% endfor %}
<details>
<summary>How these figures were made</summary>
<div class="scroll" role="region" tabindex="0" aria-label="How {{ part.name }} was made">
<table class="facts">
<caption>{{ mark(part) }}How these figures were made</caption>
<tbody>
{% for name, value in part.facts %}
<tr><th scope="row">{{ name }}</th><td class="wrap">{{ value | visible }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
</details>
</section>
{% endfor %}
</main>
<footer><p>Made by Mien from {{ parts | map(attribute="file") | join(", ") }}.
This page asks nothing of any server.</p></footer>
</body>
</html>
"""
