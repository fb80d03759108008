"""The table of results/serve.json, for the README. Draws only."""

from textwrap import wrap
from typing import Any


def load_table(found: dict[str, Any]) -> str:
    """One row per input and number of clients, then what batching and ten minutes of load did."""
    lines = [
        "| input | clients | requests a second | p50 | p95 | p99 | answered otherwise |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found["loads"]:
        lines.append(_row(row["input"], row))
    lines.append(_row("text, one by one (`--set batch=1`)", found["text_32_clients_without_batching"]))
    memory = found["memory"]
    told = (
        f"Two processes on {found['machine']['cores']} cores, loopback, `{found['command']}`; clients ask again as "
        "soon as they are answered. 202: a job, as it would have taken longer than 20 s; 429: the queue was full. "
        f"Memory of all processes over {memory['minutes']:g} minutes of mixed load by four clients "
        f"({memory['requests']:,} requests, {memory['not_answered']} not answered): "
        f"{memory['mb_first_third']:,.0f} MB in the first third, {memory['mb_last_third']:,.0f} MB in the last, "
        f"{memory['mb_most']:,.0f} MB at most."
    )
    lines += ["", *wrap(told, 140)]
    return "\n".join(lines)


def _row(name: str, row: dict[str, Any]) -> str:
    others = ", ".join(f"{status}: {n}" for status, n in row["statuses"].items() if status != "200")
    times = " | ".join(f"{row[share]:.2f} s" for share in ("p50", "p95", "p99"))
    return f"| {name} | {row['clients']} | {row['per_second']:.1f} | {times} | {others} |"
