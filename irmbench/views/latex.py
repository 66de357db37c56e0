r"""Tables as LaTeX: ``table`` environments with booktabs' rules, for ``\usepackage{array,booktabs}``."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator

from irmbench.views.formats import LABEL, Cell, Row, Table, View, caption, one_line, panels, widths

LINE = 80  # characters in \footnotesize of the text width that LaTeX's article has
PAGE = 36  # lines that leave room for a caption
COMMANDS = {
    **{c: f"\\{c}" for c in "&%$#{}"},
    **{"_": r"\_\allowbreak{}", "=": r"=\allowbreak{}", "\\": r"\textbackslash{}", "|": r"\textbar{}"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}"},
    **{
        '"': "''",
        "`": r"\textasciigrave{}",
        "‘": "`",
        "’": "'",
        "“": "``",
        "”": "''",
        "–": r"\textendash{}",
        "—": r"\textemdash{}",
    },
    **{"±": r"$\pm$", "×": r"$\times$", "·": r"$\cdot$", "−": "$-$", "…": r"\ldots{}", "µ": r"$\mu$"},
    **{"≤": r"$\leq$", "≥": r"$\geq$", "→": r"$\to$", "∞": r"$\infty$", "†": r"$\dagger$"},
}
GREEK = {
    **{"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta"},
    **{"ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma"},
    **{"τ": "tau", "υ": "upsilon", "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta"},
    **{"Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega"},
}


def latex(view: View) -> str:
    """Return a view as LaTeX; what is too wide or too long for a page is in several tables, each with the caption."""
    note = caption(view, {"best": r"\textbf{Bold}", "tied": r"$^{\dagger}$"}, escape)
    parts = ["\n".join(f"% {one_line(fact)}" for fact in (r"needs \usepackage{array,booktabs}", *view.facts))]
    for table in view.tables:
        title = escape("; ".join(filter(None, (view.title, table.title))))
        pages = [page for panel in panels(table, LINE) for page in _pages(panel)]
        for number, page in enumerate(pages, 1):
            part = f" (part {number} of {len(pages)})" if len(pages) > 1 else ""
            parts.append("\n".join(_environment(page, f"{title}{part}. {note}")))
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Return a text as pdfLaTeX shows it; of a character that its fonts have not, the code point."""
    shown = "".join(map(_character, one_line(text)))
    return re.sub(r"(?<![\w.-])-(?=\d)", "$-$", re.sub(r"-(?=-)", "-{}", shown))


def _character(c: str) -> str:
    if c in COMMANDS:
        return COMMANDS[c]
    if c in GREEK:
        return rf"$\{GREEK[c]}$"
    accents = unicodedata.normalize("NFD", c)[1:]
    if c.isascii() or c in "ßæÆøØœŒłŁ" or (c < "\u0180" and accents not in ("", "\u0328")):
        return c
    return rf"\texttt{{U+{ord(c):04X}}}\allowbreak{{}}"


def _pages(table: Table) -> Iterator[Table]:
    """Yield a table in parts of at most about ``PAGE`` lines."""
    page: dict[str, list[Row]] = {}
    used = 0
    for heading, rows in table.sections.items():
        for row in rows:
            lines = max(math.ceil(len(row[0].text) / LABEL), *(1 + bool(c.interval) + len(c.remarks) for c in row))
            if page and used + lines > PAGE:
                yield Table(table.columns, page)
                page, used = {}, 0
            used += lines + (heading not in page)
            page.setdefault(heading, []).append(row)
    yield Table(table.columns, page)


def _environment(table: Table, caption: str) -> Iterator[str]:
    yield from (r"\begin{table}[htbp]", r"\centering", rf"\caption{{{caption}}}", r"\smallskip")
    yield r"\footnotesize\setlength{\tabcolsep}{2pt}"
    yield from _tabular(table)
    yield r"\end{table}"


def _tabular(table: Table) -> Iterator[str]:
    label, *others = widths(table)
    label = min(label, max(LABEL, LINE - sum(others) - len(others)))
    share = 0.93 / max(LINE, label + sum(others))  # of the line; the rest is for the gaps
    left, right = (rf">{{\{side}\arraybackslash}}p" for side in ("raggedright", "raggedleft"))
    sizes = [f"{{{share * width:.3f}\\linewidth}}" for width in (label, *others)]
    yield rf"\begin{{tabular}}{{@{{}}{left}{sizes[0]}{''.join(right + size for size in sizes[1:])}@{{}}}}"
    yield "\\toprule\n" + _line([Cell(name) for name in table.columns])
    for heading, rows in table.sections.items():
        yield r"\midrule"
        if heading:
            yield rf"\multicolumn{{{len(table.columns)}}}{{@{{}}l}}{{\textit{{{escape(heading)}}}}} \\"
        yield from map(_line, rows)
    yield "\\bottomrule\n\\end{tabular}"


def _line(cells: tuple[Cell, ...] | list[Cell]) -> str:
    line = " & ".join(map(_cell, cells)) + r" \\"
    return "{}" * line.startswith(("[", "*")) + line  # else the line before takes it for its own \\'s argument


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    marked = {"best": rf"\textbf{{{text}}}", "tied": rf"{text}$^{{\dagger}}$", "": text}[cell.mark]
    details = filter(None, (cell.interval, *cell.remarks))
    return " ".join([marked, *(rf"\mbox{{\scriptsize {escape(detail)}}}" for detail in details)])
