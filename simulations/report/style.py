"""The report's style sheet, inlined into the page."""

from __future__ import annotations

from typing import Final

STYLE: Final = r""":root {
  color-scheme: light dark;
  --page: #ffffff; --ink: #1b1f24; --muted: #57606a; --line: #d5dae0; --soft: #f5f7f9;
  --accent: #00588c; --warn: #9a3412; --warn-soft: #fff1e8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --ink: #e6e9ed; --muted: #a3acb7; --line: #363d46; --soft: #1d2228;
    --accent: #7cc4f0; --warn: #ffb58a; --warn-soft: #3a2216;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans",
    "Liberation Sans", Arial, sans-serif;
}
main, body > header, body > footer { max-width: 64rem; margin: 0 auto; padding: 0 1.25rem; }
body > header { padding-top: 3rem; }
body > footer { padding-bottom: 3rem; color: var(--muted); font-size: .875rem; }
.eyebrow { margin: 0 0 .5rem; color: var(--muted); font-size: .875rem; }
h1 { font-size: clamp(1.6rem, 1.1rem + 2.2vw, 2.4rem); line-height: 1.18; letter-spacing: -.018em; font-weight: 680; margin: 0 0 1rem; max-width: 24em; text-wrap: balance; }
h2 { font-size: 1.375rem; line-height: 1.25; letter-spacing: -.01em; margin: 3.5rem 0 .5rem; padding-top: 1.1rem; border-top: 1px solid var(--line); text-wrap: balance; }
p, ul, dl.words { max-width: 44rem; }
p { margin: .6rem 0; text-wrap: pretty; }
ul { padding-left: 1.2rem; } li { margin: .3rem 0; }
a { color: var(--accent); }
.lede { font-size: 1.125rem; line-height: 1.55; }
.mark { color: var(--warn); font-weight: 700; letter-spacing: .04em; }
.banner { max-width: 44rem; margin: 1.25rem 0; padding: .7rem 1rem; border-left: 4px solid var(--warn); background: var(--warn-soft); }
.banner p { margin: 0; }

.headline { display: grid; grid-template-columns: repeat(4, 1fr); margin: 2rem 0 2rem; border: 1px solid var(--line); border-radius: .5rem; }
.headline > div { padding: 1rem 1.1rem 1.1rem; border-left: 1px solid var(--line); }
.headline > div:first-child { border-left: 0; }
.headline dt { font-size: .875rem; font-weight: 600; }
.headline dd { margin: 0; font-size: .875rem; line-height: 1.45; color: var(--muted); }
.headline dd.value { font-size: 2rem; line-height: 1.3; font-weight: 650; letter-spacing: -.02em; color: var(--ink); font-variant-numeric: tabular-nums; white-space: nowrap; }

dl.words dt { font-weight: 600; margin-top: .6rem; }
dl.words dd { margin: 0; color: var(--muted); }

figure { margin: 1.5rem 0; break-inside: avoid; }
figcaption { max-width: 44rem; margin-bottom: .6rem; font-size: .9375rem; color: var(--muted); }
.card { background: #fff; border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; }
.card svg { display: block; width: 100%; height: auto; stroke-linejoin: round; stroke-linecap: butt; }
.card svg text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", Arial, sans-serif !important; }
.narrow { display: none; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1.25rem; align-items: end; }
.pair figure { margin: 0; }

.scroll { overflow-x: auto; margin: 1rem 0; }
.scroll:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; font-size: .875rem; line-height: 1.4; font-variant-numeric: tabular-nums; }
caption { text-align: left; max-width: calc(100vw - 2.5rem); padding-bottom: .5rem; color: var(--muted); font-size: .9375rem; }
th, td { padding: .38rem .65rem; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { padding-left: .15rem; }
thead th { white-space: normal; color: var(--muted); font-weight: 600; vertical-align: bottom; border-bottom: 1px solid var(--muted); }
th[scope="row"] { font-weight: 400; }
.left, th[scope="row"] { text-align: left; }
.wrap { white-space: normal; overflow-wrap: anywhere; min-width: 12rem; }
th code { white-space: nowrap; }
tr.strong th, tr.strong td { font-weight: 650; }
tr.first th, tr.first td { border-top: 2px solid var(--line); }
.harmed { color: var(--warn); font-weight: 600; }
details { margin: .8rem 0; }
summary { cursor: pointer; width: fit-content; color: var(--accent); font-size: .9375rem; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; font-size: .875em; overflow-wrap: anywhere; }
pre { padding: .8rem 1rem; background: var(--soft); border: 1px solid var(--line); border-radius: .5rem; white-space: pre-wrap; }
.facts th { color: var(--muted); }
.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 0; }

@media (max-width: 44rem) {
  body > header { padding-top: 1.75rem; }
  .wide { display: none; } .narrow { display: block; }
  .card { padding: .4rem; }
  .pair { grid-template-columns: 1fr; }
  .headline { grid-template-columns: 1fr 1fr; }
  .headline > div:nth-child(odd) { border-left: 0; }
  .headline > div:nth-child(n + 3) { border-top: 1px solid var(--line); }
  .headline > div { padding: .8rem .8rem .9rem; }
  .headline dd.value { font-size: 1.6rem; }
  th[scope="row"] { white-space: normal; min-width: 7.5rem; }
  th, td { padding: .38rem .5rem; }
}
@page { margin: 16mm 14mm; }
@media print {
  :root {
    color-scheme: light;
    --page: #fff; --ink: #000; --muted: #333; --line: #bbb; --soft: #fff; --accent: #000; --warn: #7a2a0c; --warn-soft: #fff;
  }
  body { font-size: 10pt; line-height: 1.45; }
  main, body > header, body > footer { max-width: none; padding: 0; }
  body > header { padding-top: 0; }
  h2 { margin-top: 1.6rem; }
  h2, h2 + p, dt, caption, figcaption { break-after: avoid; }
  p, table { break-inside: avoid; } caption { max-width: none; }
  .wide { display: block; } .narrow { display: none; }
  .pair { grid-template-columns: 1fr 1fr; gap: .6rem; break-inside: avoid; }
  .headline { grid-template-columns: repeat(4, 1fr); break-inside: avoid; }
  .headline > div, .headline > div:nth-child(odd) { border-top: 0; border-left: 1px solid var(--line); }
  .headline > div:first-child { border-left: 0; }
  .headline dd.value { font-size: 1.5rem; }
  .card { padding: .3rem; border-color: #bbb; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .card svg { max-height: 235mm; }
  .scroll { overflow: visible; }
  th, td { padding: .2rem .5rem; } tr { break-inside: avoid; } thead { display: table-header-group; }
  @supports selector(details::details-content) {
    details::details-content { content-visibility: visible; display: block; block-size: auto; }
    summary { display: none; }
  }
}
"""
