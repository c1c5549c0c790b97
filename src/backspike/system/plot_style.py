"""How all plots look: colours that are told apart with any colour vision, and a style."""

from typing import Any

INK, SOFT = "#333333", "#888888"
BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"  # told apart with any colour vision
PINK, YELLOW, SKY = "#cc79a7", "#f0e442", "#a6d8f0"
STYLE: Any = {
    "font.size": 9,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 150,
}
