"""The dashboard's style sheet, inlined into the page: light, dark, and on paper."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root {
  color-scheme: light dark;
  --page: #f4f6f8; --card: #ffffff; --ink: #1b1f24; --muted: #57606a; --line: #dde2e7;
  --good: #1a7f4b; --warn: #a8480b;
  --s0: #2b7bb9; --s1: #d55e00; --s2: #b0589a; --s3: #d9a404; --s4: #9aa4ae;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #101316; --card: #181c21; --ink: #e6e9ed; --muted: #a3acb7; --line: #2d343c;
    --good: #5fd39a; --warn: #ffb070;
    --s0: #5aaee6; --s1: #f0803c; --s2: #d58bc2; --s3: #ecc24a; --s4: #6d7883;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1.25rem 3rem; max-width: 76rem;
  background: var(--page); color: var(--ink);
  font: .9375rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", Arial, sans-serif;
}
header { margin: .5rem 0 1.25rem; }
h1 { margin: 0; font-size: 1.5rem; line-height: 1.25; letter-spacing: -.01em; overflow-wrap:
  anywhere; }
header p { margin: .25rem 0 0; color: var(--muted); overflow-wrap: anywhere; }
h2 { margin: 0 0 .75rem; font-size: 1rem; line-height: 1.3; }
.tiles { display: grid; grid-template-columns: repeat(6, 1fr); gap: .75rem;
  margin: 0 0 1rem; }
.tiles > div, section { background: var(--card); border: 1px solid var(--line); border-radius:
  .6rem; padding: .9rem 1.1rem; }
.tiles dt { color: var(--muted); font-size: .8125rem; }
.tiles dd { margin: 0; font-size: 1.25rem; line-height: 1.4; font-weight: 650;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.tiles dd small { font-size: .8125rem; font-weight: 400; color: var(--muted); }
main { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1rem; }
section { min-width: 0; }
section:last-child { grid-column: 1 / -1; }
section p { margin: .25rem 0 0; }
svg { display: block; width: 100%; height: auto; }
.grid { stroke: var(--line); stroke-width: 1; }
.tick, .axis { fill: var(--muted); font-size: 12px; font-family: inherit; font-variant-numeric:
  tabular-nums; }
.s0 { fill: var(--s0); background: var(--s0); } .s1 { fill: var(--s1); background: var(--s1); }
.s2 { fill: var(--s2); background: var(--s2); } .s3 { fill: var(--s3); background: var(--s3); }
.s4 { fill: var(--s4); background: var(--s4); }
.range { stroke: var(--s0); stroke-width: 3; opacity: .35; stroke-linecap: round; }
.middle { stroke: var(--s1); stroke-width: 2; }
.line { fill: none; stroke: var(--s0); stroke-width: 1.5; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: .5rem 0 0; padding: 0;
  list-style: none; color: var(--muted); font-size: .8125rem; }
.legend i { display: inline-block; width: .7rem; height: .7rem; margin-right: .4rem;
  border-radius: .15rem; }
.scroll { max-height: 24rem; overflow: auto; }
table { width: 100%; border-collapse: collapse; font-size: .875rem; font-variant-numeric:
  tabular-nums; }
th { position: sticky; top: 0; background: var(--card); color: var(--muted); font-weight: 600;
  text-align: left; }
th, td { padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align:
  top; overflow-wrap: anywhere; }
tr:last-child td { border-bottom: 0; }
.number { text-align: right; white-space: nowrap; }
.good { color: var(--good); } .warn { color: var(--warn); } .quiet { color: var(--muted); }
footer { margin-top: 1.25rem; color: var(--muted); font-size: .8125rem; }
@media (max-width: 68rem) { .tiles { grid-template-columns: repeat(3, 1fr); } }
@media (max-width: 30rem) { .tick, .axis { font-size: 17px; } }
@media (max-width: 50rem) { main { grid-template-columns: minmax(0, 1fr); } body { padding: 1rem
  .75rem 2rem; } .tiles { grid-template-columns: 1fr 1fr; } }
@media print { body { background: #fff; } section { break-inside: avoid; } .scroll { max-height:
  none; } }
"""
