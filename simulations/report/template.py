"""The report's page. A Python file, since Flower ships no other text file with an app."""

from __future__ import annotations

from typing import Final

TEMPLATE: Final = r"""{% set own = results.accuracy.own_clips[-1] %}
{% set harmed = results.users_harmed[-1] %}
{% set universal = last.universal %}
{% set personal = last.personal %}
{% set clip_word = "clip" if own == 1 else "clips" %}
{% macro mark() %}{% if results.synthetic %}<strong class="mark">SYNTHETIC</strong> {% endif %}{% endmacro %}
{% macro picture(key) %}
<div class="card">
{% if pictures[key].narrow %}
<div class="wide">{{ pictures[key].wide }}</div>
<div class="narrow">{{ pictures[key].narrow }}</div>
{% else %}
{{ pictures[key].wide }}
{% endif %}
</div>
{% endmacro %}
{% macro scroll(label) %}<div class="scroll" role="region" tabindex="0" aria-label="{{ label }}">{{ caller() }}</div>{% endmacro %}
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{% if results.synthetic %}SYNTHETIC: {% endif %}Mien simulation of {{ results.source | visible }}</title>
<style>
{% include "report.css" %}
</style>
</head>
<body>
<header>
<p class="eyebrow">Mien simulation report · {{ results.source | visible }}</p>
<h1>{{ mark() }}A personal head reads {{ personal.accuracy | percent }}&nbsp;% of clips rightly, the shared one {{ universal.accuracy | percent }}&nbsp;%</h1>
{% if results.synthetic %}
<div class="banner"><p><strong class="mark">SYNTHETIC data.</strong> The faces were drawn, not filmed. These figures show that the system works; they say nothing of accuracy on people.</p></div>
{% endif %}
<p class="lede">{{ results.clients }} simulated devices trained one shared classifier of facial expressions in {{ results.rounds }} rounds{% if federations %}, and none handed over a clip{% else %}, all computed in one program without messages (engine {{ results.engine | visible }}){% endif %}. Each user's own labelled clips then made a personal head{% if federations %}, which stays on the device{% endif %}.</p>
</header>
<main>
<dl class="headline" aria-label="Headline figures">
<div><dt>Universal head</dt><dd class="value">{{ universal.accuracy | percent }}&nbsp;%</dd><dd>right without any labelled clip of the user; 95&nbsp;% interval {{ universal.low | percent }} to {{ universal.high | percent }}</dd></div>
<div><dt>Personal head</dt><dd class="value">{{ personal.accuracy | percent }}&nbsp;%</dd><dd>right with up to {{ own }} own {{ clip_word }} per expression; 95&nbsp;% interval {{ personal.low | percent }} to {{ personal.high | percent }}</dd></div>
<div><dt>Users harmed</dt><dd class="value">{{ harmed }} of {{ users | length }}</dd><dd>have a personal head that is less often right than the universal one</dd></div>
{% if federations %}
<div><dt>Sent by a device</dt><dd class="value">{{ parcels | map(attribute="message") | max | bytes }}</dd><dd>at most per round: updates of the universal head, no video, face or feature</dd></div>
{% else %}
<div><dt>Sent by a device</dt><dd class="value">not measured</dd><dd>the engine {{ results.engine | visible }} sends no message</dd></div>
{% endif %}
</dl>

<section aria-labelledby="plain">
<h2 id="plain">In plain words</h2>
<ul>
<li>Guessing among the {{ expressions | length }} expressions would be right for {{ chance | percent }}&nbsp;% of clips. The universal head, which devices trained together, is right for {{ universal.accuracy | percent }}&nbsp;%.</li>
<li>With up to {{ own }} labelled {{ clip_word }} per expression of their own, users' personal heads are right for {{ personal.accuracy | percent }}&nbsp;%, {{ difference(personal.accuracy, universal.accuracy) }} the universal head. The worst served user gets {{ personal.worst | percent }}&nbsp;%, the best {{ personal.best | percent }}&nbsp;%.</li>
<li>The same own clips without the universal head reach {{ last.local_only.accuracy | percent }}&nbsp;%; the personal head is {{ difference(personal.accuracy, last.local_only.accuracy) }} that.</li>
<li>The price of not pooling clips: the federated universal head is {{ difference(universal.accuracy, last.pooled.accuracy) }} one that was trained on all clips in one place ({{ last.pooled.accuracy | percent }}&nbsp;%).</li>
<li>The universal head learns, without labels, what is usual for a user. If it sees mostly neutral and calm clips (80&nbsp;%), it is right for {{ results.resting_stream.universal | percent }}&nbsp;%; without this normalisation, for {{ results.resting_stream.universal_raw | percent }}&nbsp;%.</li>
</ul>
<details>
<summary>Words used on this page</summary>
<dl class="words">
<dt>universal head</dt><dd>the small classifier that all devices train and the server averages</dd>
<dt>personal head</dt><dd>the universal head, corrected from one user's own labelled clips; never leaves the device</dd>
<dt>own clips</dt><dd>labelled clips of the user per expression; k means k or as many as there are, mean of several random draws</dd>
<dt>own clips alone</dt><dd>a head from the user's own clips only, without the universal head</dd>
<dt>pooled</dt><dd>the universal head, trained on all training clips in one place, to convergence{% if results.get('head', 'logistic') == 'logistic' %}: what federation could reach at best{% endif %}</dd>
<dt>without user normalisation (raw)</dt><dd>the universal head with nothing known of the user, not even unlabelled clips</dd>
<dt>accuracy</dt><dd>share of test clips whose expression was chosen rightly, per user, then the mean over users</dd>
<dt>UAR</dt><dd>unweighted average recall: accuracy per expression, then the mean over expressions, so that frequent ones count no more than rare ones</dd>
<dt>95&nbsp;% interval</dt><dd>where the mean would lie with other users like these: users are resampled with replacement ({{ results.intervals.method | visible }})</dd>
<dt>user harmed</dt><dd>one whose personal head is less often right than the universal head</dd>
</dl>
</details>
</section>

<section aria-labelledby="accuracy">
<h2 id="accuracy">Accuracy against own clips</h2>
<p>{{ protocol }}</p>
<figure>
<figcaption>{{ mark() }}Lines: mean over {{ users | length }} users. Bands and bars: 95&nbsp;% interval. Dots: one user each, personal to the right of its place, own clips alone to the left.</figcaption>
{{ picture("accuracy") }}
</figure>
{% call scroll("Accuracy by head and own clips") %}
<table>
<caption>{{ mark() }}Accuracy and UAR in %, mean over users; worst, median and best user by accuracy</caption>
<thead><tr><th scope="col" class="left">head</th><th scope="col">own clips</th><th scope="col">accuracy</th><th scope="col">95&nbsp;% interval</th><th scope="col">UAR</th><th scope="col">worst</th><th scope="col">median</th><th scope="col">best</th><th scope="col">users harmed</th></tr></thead>
<tbody>
{% for row in rows %}
<tr class="{{ 'strong' if row.key == 'personal' }}{{ ' first' if not loop.first and row.key != loop.previtem.key and row.own_clips }}"><th scope="row">{{ row.title }}</th><td>{{ row.own_clips }}</td><td>{{ row.accuracy | percent }}</td><td>{{ row.low | percent }} to {{ row.high | percent }}</td><td>{{ row.uar | percent }}</td><td>{{ row.worst | percent }}</td><td>{{ row.median | percent }}</td><td>{{ row.best | percent }}</td><td>{% if row.key == "personal" %}{{ results.users_harmed[results.accuracy.own_clips.index(row.own_clips)] }}{% endif %}</td></tr>
{% endfor %}
</tbody>
</table>
{% endcall %}
</section>

<section aria-labelledby="spread">
<h2 id="spread">Spread over users</h2>
<p>A mean can hide users for whom it got worse. {% if harmed %}At {{ own }} own {{ clip_word }} per expression, {{ harmed }} of {{ users | length }} users would do better with the universal head; an orange cross marks them.{% else %}At {{ own }} own {{ clip_word }} per expression, none of the {{ users | length }} users would do better with the universal head.{% endif %}</p>
<figure>
<figcaption>{{ mark() }}Universal and personal accuracy on the same test clips, personal heads at {{ own }} own {{ clip_word }} per expression, lowest universal accuracy first.</figcaption>
{{ picture("users") }}
</figure>
<details>
<summary>All {{ users | length }} users as a table</summary>
{% call scroll("Accuracy by user") %}
<table>
<caption>{{ mark() }}Accuracy in % by user; personal and own clips alone at {{ own }} own {{ clip_word }} per expression</caption>
<thead><tr><th scope="col" class="left">user</th><th scope="col">test clips</th><th scope="col">universal</th><th scope="col">raw</th><th scope="col">pooled</th><th scope="col">own clips alone</th><th scope="col">personal</th><th scope="col" class="left">note</th></tr></thead>
<tbody>
{% for row in users %}
<tr><th scope="row" class="wrap">{{ row.user }}</th><td>{{ row.clips }}</td><td>{{ row.universal | percent }}</td><td>{{ row.universal_raw | percent }}</td><td>{{ row.pooled | percent }}</td><td>{{ row.local_only | percent }}</td><td>{{ row.personal | percent }}</td><td class="left">{% if row.harmed %}<span class="harmed">harmed</span>{% endif %}</td></tr>
{% endfor %}
</tbody>
</table>
{% endcall %}
</details>
</section>

{% if in_the_loop %}
<section aria-labelledby="identified">
<h2 id="identified">When the device must find out whose clip it is</h2>
<p>Everywhere else on this page a device is told whose clip it sees. Here the face decides, on {{ devices(results) }}. A user is enrolled with the faces of the own clips that also make the personal head. A clip that is taken for another user is read by that user's personal head; a clip that is nobody's, by the universal head without anything known of the user.</p>
<p>Whose a clip is: <span class="wrap">{{ results.identification.rule | visible }}</span>. Network <code>{{ results.identification.network | visible }}</code>, threshold {{ results.identification.threshold }} ({{ results.identification.threshold_source | visible }}).</p>
{% if results.synthetic %}
<p>{{ mark() }}Drawn faces resemble each other more, and change less, than people's do: these figures show that the parts work together, not how well people are told apart.</p>
{% endif %}
{% call scroll("Identification in the loop") %}
<table>
<caption>{{ mark() }}Identification in the loop, in %, mean over users; {{ results.identification.faces_per_clip }} faces looked at per clip</caption>
<thead><tr><th scope="col" class="left">own clips</th><th scope="col">taken rightly</th><th scope="col">for nobody</th><th scope="col">for another</th><th scope="col">strangers taken for a user</th><th scope="col">personal, user given</th><th scope="col">personal, user identified</th><th scope="col">95&nbsp;% interval</th></tr></thead>
<tbody>
{% for row in in_the_loop %}
<tr><th scope="row">{{ row.own_clips }}</th><td>{{ row.right | percent }}</td><td>{{ row.unknown | percent }}</td><td>{{ row.another | percent }}</td><td>{% if row.strangers is none %}–{% else %}{{ row.strangers | percent }}{% endif %}</td><td>{{ row.given | percent }}</td><td>{{ row.identified | percent }}</td><td>{{ row.low | percent }} to {{ row.high | percent }}</td></tr>
{% endfor %}
</tbody>
</table>
{% endcall %}
<p>Strangers: the same clips where their own user is not enrolled on the device.{% if results.identification.test_clips_without_face %} In {{ results.identification.test_clips_without_face }} test clip{{ "" if results.identification.test_clips_without_face == 1 else "s" }} no face was found in the frames looked at; these are nobody's.{% endif %}{% if results.identification.mistakes %} Most often mistaken at {{ own }} own {{ clip_word }}:{% for mistake in results.identification.mistakes[:3] %} {{ mistake.user | visible }} for {{ mistake.taken_for | visible }} ({{ mistake.share | percent }}&nbsp;% of clips){{ "," if not loop.last else "." }}{% endfor %}{% endif %}</p>
</section>

{% endif %}
<section aria-labelledby="confusions">
<h2 id="confusions">What is taken for what</h2>
<p>Each row is an expression that was shown, each column one that the head chose. Large numbers are percent of the row, small ones clips; the diagonal is right. Clips of all users count alike here, so the share on the diagonal can differ from the mean over users.</p>
<div class="pair">
{% for confusion, key in ((confusions[0], "confusion-universal"), (confusions[1], "confusion-personal")) %}
<figure>
<figcaption>{{ mark() }}<b>{{ confusion.title }}</b>, {% if loop.first %}0 own clips{% else %}{{ own }} own {{ clip_word }} per expression, mean over draws{% endif %}.{% if confusion.mistakes %} Most often wrong: {{ confusion.mistakes[0][0] }} taken for {{ confusion.mistakes[0][1] }}, {{ confusion.mistakes[0][2] | percent }}&nbsp;%.{% endif %}</figcaption>
{{ picture(key) }}
</figure>
{% endfor %}
</div>
{% for confusion in confusions %}
<details>
<summary>{{ confusion.title }}: the matrix as a table</summary>
{% call scroll("Confusion matrix, " ~ confusion.title) %}
<table>
<caption>{{ mark() }}{{ confusion.title }}: clips (% of the row); rows shown, columns chosen</caption>
<thead><tr><th scope="col" class="left">shown</th>{% for name in expressions %}<th scope="col">{{ name }}</th>{% endfor %}<th scope="col">clips</th></tr></thead>
<tbody>
{% for name in expressions %}
{% set row = loop.index0 %}
<tr><th scope="row">{{ name }}</th>{% for _ in expressions %}<td>{% if confusion.totals[row] > 0 %}{{ confusion.counts[row, loop.index0] | count }} ({{ confusion.shares[row, loop.index0] | percent }}){% else %}–{% endif %}</td>{% endfor %}<td>{{ confusion.totals[row] | count }}</td></tr>
{% endfor %}
</tbody>
</table>
{% endcall %}
</details>
{% endfor %}
</section>

{% if not federations %}
<section aria-labelledby="rounds">
<h2 id="rounds">Nothing was transmitted</h2>
<p>The engine <code>{{ results.engine | visible }}</code> trained the heads of all devices in one program, in {{ results.in_memory | length }} rounds of {{ results.chosen | length }} federation{{ "" if results.chosen | length == 1 else "s" }}: no message was sent, no gate was passed and no ledger was written. This page says nothing about what a fleet of devices would transmit; run the engine grid for that.</p>
</section>
{% else %}
<section aria-labelledby="rounds">
<h2 id="rounds">Rounds and bytes</h2>
<p>All devices together sent {{ sent | bytes }} ({{ sent | thousands }} bytes) in {{ results.transmitted | length }} rounds of {{ results.chosen | length }} federation{{ "" if results.chosen | length == 1 else "s" }}. Each federation leaves out the users whom it is tested on. Bytes are of serialised replies from devices to the server; the universal head on its way to the devices is not counted.</p>
<figure>
<figcaption>{{ mark() }}Devices that sent an update, and bytes that all of them sent, {% if federations | length == 1 %}the same in every federation{% else %}by federation{% endif %}.</figcaption>
{{ picture("traffic") }}
</figure>
{% set stretches = federations | map(attribute="runs") | map("length") | sum %}
<details{{ " open" if stretches <= 24 }}>
<summary>Rounds as a table</summary>
{% call scroll("Rounds by federation") %}
<table>
<caption>{{ mark() }}Rounds by federation; consecutive rounds that are alike stand together</caption>
<thead><tr><th scope="col" class="left">federation</th><th scope="col">rounds</th><th scope="col" class="left">stage</th><th scope="col">devices</th><th scope="col">bytes per round</th><th scope="col">bytes so far, per federation</th><th scope="col" class="left">failures</th></tr></thead>
{% for federation in federations %}
<tbody>
{% for run in federation.runs %}
<tr><th scope="row">{{ federation.title if loop.first }}</th><td>{{ run.first.number }}{% if run.last.number != run.first.number %} to {{ run.last.number }}{% endif %}</td><td class="left">{{ run.first.stage }}</td><td>{{ run.first.clients }}</td><td>{{ run.first.bytes | thousands }}</td><td>{{ run.last.cumulative | thousands }}</td><td class="left wrap">{{ run.first.failures | join("; ") or "none" }}</td></tr>
{% endfor %}
</tbody>
{% endfor %}
</table>
{% endcall %}
</details>
</section>

<section aria-labelledby="transmitted">
<h2 id="transmitted">What was transmitted</h2>
<p>A device's reply holds the arrays below and three public numbers: the round, the specification of the head, and the number of clips that the update was trained on.</p>
{% call scroll("Arrays transmitted") %}
<table>
<caption>{{ mark() }}Arrays in one device's reply, by stage</caption>
<thead><tr><th scope="col" class="left">array</th><th scope="col" class="left">stage</th><th scope="col" class="left">shape</th><th scope="col" class="left">dtype</th><th scope="col">bytes</th></tr></thead>
{% for parcel in parcels %}
<tbody>
{% for array in parcel.arrays %}
<tr><th scope="row"><code>{{ array.name }}</code></th><td class="left">{{ parcel.stage }}</td><td class="left">{{ array.shape | join(" × ") or "scalar" }}</td><td class="left">{{ array.dtype }}</td><td>{{ array.bytes | thousands }}</td></tr>
{% endfor %}
<tr class="strong"><th scope="row">all arrays of the stage</th><td class="left">{{ parcel.stage }}</td><td class="left"></td><td class="left"></td><td>{{ parcel.payload | thousands }}</td></tr>
<tr><th scope="row">whole reply, at most</th><td class="left">{{ parcel.stage }}</td><td class="left"></td><td class="left"></td><td>{{ parcel.message | round(0, "ceil") | int | thousands }}</td></tr>
</tbody>
{% endfor %}
</table>
{% endcall %}
<p><strong>Not transmitted:</strong> video, frames, faces, features of a clip, labels, predictions, personal heads. The gate on each device lets through only the arrays and numbers above, and refuses a reply that holds anything else. An update is still computed from clips: this page counts what left a device, it does not prove that nothing can be inferred from it.</p>
</section>
{% endif %}

<section aria-labelledby="left-out">
<h2 id="left-out">What was left out</h2>
{% if results.left_out %}
<p>{{ results.left_out | length }} clip{{ "" if results.left_out | length == 1 else "s" }} of the source could have been used and {{ "was" if results.left_out | length == 1 else "were" }} not.</p>
<details{{ " open" if results.left_out | length <= 10 }}>
<summary>Clips and reasons</summary>
{% call scroll("Clips left out") %}
<table>
<caption>{{ mark() }}Clips left out, and why</caption>
<thead><tr><th scope="col" class="left">clip</th><th scope="col" class="left">reason</th></tr></thead>
<tbody>
{% for entry in results.left_out %}
<tr><th scope="row" class="wrap">{{ entry.clip | visible }}</th><td class="left wrap">{{ entry.reason | visible }}</td></tr>
{% endfor %}
</tbody>
</table>
{% endcall %}
</details>
{% else %}
<p>No clip of the source was left out.</p>
{% endif %}
{% for kind, number in results.get("skipped", {}).items() if number %}
{% if loop.first %}<p>Files that are no clips for this purpose: {% endif %}{{ kind | visible }} {{ number }}{{ ".</p>" | safe if loop.last else ", " }}
{% endfor %}
</section>

<section aria-labelledby="chosen">
<h2 id="chosen">Chosen on training users</h2>
<p>For each federation these settings were chosen on the users who take part in it. Users whom it is tested on had no say.</p>
{% call scroll("Settings by federation") %}
<table>
<caption>{{ mark() }}Settings by federation</caption>
<thead><tr><th scope="col" class="left">federation</th><th scope="col">l2 of the universal head</th><th scope="col">prior strength of personal heads</th><th scope="col">scale of universal logits</th></tr></thead>
<tbody>
{% for name, choice in results.chosen.items() %}
<tr><th scope="row">{{ name | visible }}</th><td>{{ choice.l2 }}</td><td>{{ choice.strength }}</td><td>{{ choice.scale }}</td></tr>
{% endfor %}
</tbody>
</table>
{% endcall %}
</section>

<section aria-labelledby="again">
<h2 id="again">How to get this again</h2>
<pre><code>{{ results.command | visible }}</code></pre>
{% call scroll("Settings and versions") %}
<table class="facts">
<caption>{{ mark() }}Source, settings and versions</caption>
<tbody>
<tr><th scope="row">source</th><td class="wrap">{{ results.source | visible }}{% if results.synthetic %} ({{ mark() }}data){% endif %}</td></tr>
<tr><th scope="row">features</th><td class="wrap"><code>{{ results.features | visible }}</code></td></tr>
<tr><th scope="row">head</th><td>{{ results.head | visible }}</td></tr>
{% if federation_words %}
<tr><th scope="row">what updates tell</th><td class="wrap">{{ federation_words | join(" ") }}</td></tr>
{% endif %}
<tr><th scope="row">protocol</th><td>{{ results.protocol | visible }}</td></tr>
<tr><th scope="row">devices and users</th><td>{{ results.clients }} and {{ users | length }}</td></tr>
<tr><th scope="row">rounds per federation</th><td>{{ results.rounds }}</td></tr>
<tr><th scope="row">seed</th><td>{{ results.seed }}</td></tr>
<tr><th scope="row">commit</th><td>{% if results.get("commit") %}<code>{{ results.commit | visible }}</code>{% else %}not known{% endif %}</td></tr>
<tr><th scope="row">time taken</th><td>{{ results.seconds }} s</td></tr>
<tr><th scope="row">versions</th><td class="wrap">{% for name, version in results.versions.items() %}{{ name | visible }} {{ version | visible }}{{ ", " if not loop.last }}{% endfor %}</td></tr>
</tbody>
</table>
{% endcall %}
</section>
</main>
<footer><p>{{ mark() }}Made by Mien from <code>results.json</code>. This page asks nothing of any server.</p></footer>
</body>
</html>
"""
