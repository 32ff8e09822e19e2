"""A benchmark's tables, in Markdown and CSV."""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ditflow.benchmark.bootstrap import Interval, interval
from ditflow.benchmark.jobs import COST
from ditflow.benchmark.references import CATEGORIES
from ditflow.metrics.scorer import HEADINGS
from ditflow.utils.files import write_text

Record = dict[str, Any]
MORE = {
    "agreement": "motion agreement",
    "share": "share of the motion",
    "attributes": "attributes right",
    "look": "look of the reference, scene",
}


class Table(NamedTuple):
    """Rows of cells, the first of which are headings."""

    rows: list[list[str]]
    title: str = ""


class Section(NamedTuple):
    """A backbone's tables, and how they were measured."""

    backbone: str
    how: str
    tables: list[Table]


def sections(records: Sequence[Record]) -> list[Section]:
    """Every backbone's tables: as the paper's Table 1, all other scores, and reuse if there is."""
    good = [record for record in records if "error" not in record]
    found = []
    for backbone in ordered(good, "backbone"):
        own = [record for record in good if record["backbone"] == backbone]
        fitted = [record for record in own if not record["reused"]]
        reused = [record for record in own if record["reused"]]
        tables = [Table(_paper_table(fitted)), Table(_score_table(fitted))]
        if reused:
            title = "Reused on another prompt, without optimisation:"
            tables += [Table(_reuse_table(fitted, reused), title), Table(_score_table(reused))]
        found.append(Section(backbone, _how(own), tables))
    return found


def markdown(records: Sequence[Record], name: str) -> str:
    """Every section, and what failed."""
    lines = [f"# {name}", ""]
    for section in sections(records):
        lines += [f"## {section.backbone}", "", section.how, ""]
        for table in section.tables:
            lines += [table.title, ""] if table.title else []
            lines += [*_table(table.rows), ""]
    failed = [record for record in records if "error" in record]
    if failed:
        lines += [f"{len(failed)} results failed:", ""]
        lines += [
            f"- {r['backbone']}, {r['method']}, {r['video']}, {r['category']}: {r['error']}"
            for r in failed
        ]
    return "\n".join(lines).rstrip() + "\n"


def comma_separated(records: Iterable[Record]) -> str:
    """One line a backbone, method, category (and `all`), reuse and score, with the interval."""
    groups: dict[tuple, list[Record]] = defaultdict(list)
    for record in records:
        if "error" not in record:
            for category in (record["category"], "all"):
                key = (record["backbone"], record["method"], category, record["reused"])
                groups[key].append(record)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    keys = ["backbone", "method", "category", "reused"]
    writer.writerow([*keys, "score", "mean", "low", "high", "videos"])
    for key, group in sorted(groups.items()):
        for score in _scores(group):
            value = _interval(group, score)
            if value is not None:
                writer.writerow([*key, score, *value])
    return text.getvalue()


def write_tables(records: Sequence[Record], folder: Path, name: str) -> list[Path]:
    """Write `table.md` and `table.csv`, whole or not at all."""
    texts = {
        folder / "table.md": markdown(records, name),
        folder / "table.csv": comma_separated(records),
    }
    for path, text in texts.items():
        write_text(path, text)
    return list(texts)


def _paper_table(records: Sequence[Record]) -> list[list[str]]:
    """MF and IQ by category, as the paper's Table 1."""
    categories = [c for c in CATEGORIES if any(r["category"] == c for r in records)]
    columns: list[tuple[str, Callable[[Record], bool], str]] = []
    for category in [*categories, "all"]:
        for score in ("mf", "iq"):
            columns.append(
                (
                    f"{HEADINGS[score]}, {category}",
                    partial(_is_of, category),
                    score,
                )
            )
    rows = [["method", *(title for title, _, _ in columns)]]
    for method in ordered(records, "method"):
        own = [record for record in records if record["method"] == method]
        row = [method]
        for _, belongs, score in columns:
            row.append(_cell(_interval([r for r in own if belongs(r)], score)))
        rows.append(row)
    return rows


def _score_table(records: Sequence[Record]) -> list[list[str]]:
    """All other scores and the cost, over all categories."""
    titles = HEADINGS | MORE | COST
    scores = [s for s in _scores(records) if s not in ("mf", "iq")]
    rows = [["method", *(titles.get(score, score) for score in scores)]]
    for method in ordered(records, "method"):
        own = [record for record in records if record["method"] == method]
        rows.append([method, *(_cell(_interval(own, score), score in COST) for score in scores)])
    return rows


def _reuse_table(fitted: Sequence[Record], reused: Sequence[Record]) -> list[list[str]]:
    """As the paper's Figure 7a: what is lost against optimising for the prompt itself."""
    rows = [
        ["method", "MF optimised", "MF reused", "change", "IQ optimised", "IQ reused", "change"]
    ]
    for method in ordered(reused, "method"):
        row = [method]
        for score in ("mf", "iq"):
            before, after = (
                _interval([r for r in records if r["method"] == method], score)
                for records in (fitted, reused)
            )
            row += [_cell(before), _cell(after), _change(before, after)]
        rows.append(row)
    return rows


def _change(before: Interval | None, after: Interval | None) -> str:
    if before is None or after is None or before.mean == 0:
        return "–"
    return f"{100 * (after.mean / before.mean - 1):+.1f} %"


def _how(records: Sequence[Record]) -> str:
    """How it was measured: values of different trackers or CLIP models do not compare."""
    videos = len({record["video"] for record in records})
    used = [
        " and ".join(sorted({str(record[name]) for record in records}))
        for name in ("tracker", "grid", "clip")
    ]
    return (
        f"{videos} videos; tracker {used[0]} from a grid of {used[1]}²; CLIP {used[2]}; "
        "mean [95 % bootstrap interval over videos]."
    )


def ordered(records: Iterable[Record], name: str) -> list[str]:
    """Values of a field in the order of the manifest, which is each record's `order`."""
    first: dict[str, int] = {}
    for record in records:
        first[record[name]] = min(first.get(record[name], record["order"]), record["order"])
    return sorted(first, key=first.__getitem__)


def _scores(records: Sequence[Record]) -> list[str]:
    names: dict[str, None] = {}
    for record in records:
        names |= dict.fromkeys(record["scores"])
    return [*names, *(c for c in COST if any(r.get(c) is not None for r in records))]


def _interval(records: Sequence[Record], score: str) -> Interval | None:
    values: dict[str, list[float]] = defaultdict(list)
    for record in records:
        value = record.get(score) if score in COST else record["scores"].get(score)
        if value is not None:
            values[record["video"]].append(value)
    return interval(values) if values else None


def _cell(value: Interval | None, short: bool = False) -> str:
    if value is None:
        return "–"
    return f"{value.mean:.1f}" if short else str(value)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return [head, "|" + "---|" * len(rows[0]), *body]


def _is_of(category: str, record: Record) -> bool:
    return category in ("all", record["category"])
