"""The table that `backspike hyra` prints."""

from backspike.spectral.superresolution.evaluation import Row

COLUMNS = (
    ("scale", 5),
    ("network", 9),
    ("PSNR dB", 9),
    ("FSDS dB", 9),
    ("sinc corr.", 12),
    ("non-linear", 12),
    ("high: linear", 14),
    ("non-linear", 12),
)


def table(rows: list[Row], about: str) -> str:
    """A line for each network and scale, below a line that says what was measured."""
    lines = [about, "", "".join(f"{name:>{width}}" for name, width in COLUMNS)]
    before = None
    for row in rows:
        cells = [
            f"x{row.scale}" if row.scale != before else "",
            row.network,
            f"{row.mean('psnr_db'):.2f}",
            f"{row.mean('fsds_db'):.2f}",
            f"{row.sinc_correlation:.3f}",
            _share(row.mean("nonlinear_share")),
            *(_share(row.mean_high(part)) for part in ("linear", "nonlinear")),
        ]
        lines.append("".join(f"{c:>{w}}" for c, (_, w) in zip(cells, COLUMNS, strict=True)))
        before = row.scale
    lines += [
        "",
        "sinc corr.: correlation of the impulse response with the ideal low-pass kernel",
        "non-linear: the non-linear part's share of the output's energy",
        "high: of a part's energy, the share at frequencies that the small picture cannot hold",
    ]
    return "\n".join(lines) + "\n"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"
