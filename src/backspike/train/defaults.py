"""What a run is when its options are left open."""

STEPS = 4
LOSSES = ("ce", "ce-every", "mse")
EVERY = "ce-every"
RATES = {"ce": 2.0**-6, "ce-every": 2.0**-6, "mse": 2.0**-9}
"""η by loss, with which digits are learnt to 95 % and more in 10 epochs."""
OPTIMIZERS = ("sgd", "momentum", "adam")
MOMENTUM, MOMENTUM_SHARE = 0.875, 0.125
"""μ, and 1 - μ: with η times this, weights move as fast as without momentum."""
ADAM_RATE = 2.0**-8
RECTANGLES = {"bptt": 1.0, "mpd-ed": 2.0}
"""Width of the default surrogate, a rectangle, by rule."""
