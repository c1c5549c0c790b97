"""Tensors as memory images: round trips, and single places by the map's own words."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backspike.compile.cut import Cut
from backspike.compile.memory_image import (
    Shape,
    label_words,
    sample_rows,
    sample_tensor,
    spike_words,
    unit_rows,
    unit_tensor,
)
from backspike.compile.weight_image import diagonal_rows, weight_rows, weight_tensor
from backspike.gen.machine import DEPTH

LANES = st.sampled_from([2, 4, 8, 16])


@st.composite
def shapes(draw) -> tuple[Shape, int]:
    """(shape, samples of a batch that it holds)."""
    steps = draw(st.integers(1, DEPTH))
    samples = draw(st.integers(1, DEPTH // steps))
    sets = draw(st.integers(1, 4))
    cut = Cut(
        samples=samples,
        sets=sets,
        steps=steps,
        spans=draw(st.integers(1, 3)),
        last_steps=draw(st.integers(1, steps)),
    )
    return Shape(draw(LANES), cut), draw(st.integers(1, samples * sets))


def random_bits(seed: int, shape: tuple[int, ...], dtype: type = np.uint16) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, np.iinfo(dtype).max, shape).astype(dtype)


def placed_rows(tensor: np.ndarray, shape: Shape) -> np.ndarray:
    """(B, T, N) to rows of units, place by place: row of unit * DEPTH + t * samples + s, with t
    counted from the begin of its span."""
    batch, steps, neurons = tensor.shape
    cut = shape.cut
    rows = np.zeros((shape.tiles(neurons) * cut.blocks * DEPTH, shape.lanes), tensor.dtype)
    for b, t in np.ndindex(batch, steps):
        number, s = divmod(b, cut.samples)
        span, step = divmod(t, cut.steps)
        for n in range(neurons):
            unit = n // shape.lanes * cut.blocks + number * cut.spans + span
            row = unit * DEPTH + step * cut.samples + s
            rows[row, n % shape.lanes] = tensor[b, t, n]
    return rows


def all_steps(shape: Shape) -> int:
    """T, counted out."""
    return len([*range((shape.cut.spans - 1) * shape.cut.steps), *range(shape.cut.last_steps)])


@given(shapes(), st.integers(1, 40), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_units_come_back(drawn, neurons, seed):
    """Rows written place by place are read back as the tensor they came from."""
    shape, batch = drawn
    tensor = random_bits(seed, (batch, all_steps(shape), neurons))
    back = unit_tensor(placed_rows(tensor, shape), shape, batch, neurons)
    assert (back == tensor).all()
    assert back.dtype == tensor.dtype


@given(shapes(), st.integers(1, 40), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_rows_of_units_are_in_their_places(drawn, neurons, seed):
    """What the host writes as errors of every step, of a whole batch or of fewer samples."""
    shape, batch = drawn
    tensor = random_bits(seed, (batch, all_steps(shape), neurons))
    rows = unit_rows(tensor, shape)
    assert rows.dtype == np.uint16
    assert (rows == placed_rows(tensor, shape)).all()


@given(shapes(), st.integers(1, 40), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_spikes_are_bits_of_their_sources(drawn, sources, seed):
    """A tile's line n has bit t * samples + s of source n; nothing else is set."""
    shape, batch = drawn
    spikes = np.random.default_rng(seed).integers(0, 2, (batch, all_steps(shape), sources))
    spikes = spikes.astype(np.uint8)
    lines = spike_words(spikes, shape).view(np.uint16).reshape(-1, shape.lanes)
    assert len(lines) == shape.tiles(sources) * shape.cut.blocks
    rows = placed_rows(spikes, shape).reshape(-1, DEPTH, shape.lanes)
    want = (rows.transpose(0, 2, 1).astype(np.uint32) << np.arange(DEPTH)).sum(-1)
    assert (lines == want).all()


@given(shapes(), st.integers(1, 40), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_samples_come_back(drawn, neurons, seed):
    """Values of samples come back from their rows, and the rest of the rows is 0."""
    shape, batch = drawn
    values = random_bits(seed, (batch, neurons))
    rows = sample_rows(values, shape)
    assert rows.shape == (shape.tiles(neurons), shape.cut.sets, DEPTH, shape.lanes)
    assert (sample_tensor(rows, shape, batch, neurons) == values).all()
    assert np.count_nonzero(rows) == values.size
    number, s = divmod(batch - 1, shape.cut.samples)
    tile, lane = divmod(neurons - 1, shape.lanes)
    assert rows[tile, number, s, lane] == values[-1, -1]


@given(LANES, st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_weights_come_back(lanes, sources, neurons, seed):
    """Weights come back from their rows, each in the skewed lane it belongs to."""
    weights = random_bits(seed, (sources, neurons))
    rows = weight_rows(weights, lanes)
    assert (weight_tensor(rows, lanes, sources, neurons) == weights).all()
    padded = -(-sources // lanes) * lanes
    for k, j in np.ndindex(sources, neurons):
        assert rows[j // lanes * padded + k, (k + j) % lanes] == weights[k, j]
    assert np.count_nonzero(rows) == weights.size


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
@pytest.mark.parametrize("scale", [0x3C00, 0xB800])
def test_an_identity_is_a_block_with_a_diagonal(lanes, scale):
    """As a connection of weights would be written, with `scale` from each source to its neuron."""
    weights = np.zeros((lanes, lanes), np.uint16)
    weights[np.arange(lanes), np.arange(lanes)] = scale
    assert (diagonal_rows(scale, lanes) == weight_rows(weights, lanes)).all()


@given(shapes(), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_labels(drawn, seed):
    """Each sample's label stands at its set and place, and all other words are 0."""
    shape, batch = drawn
    labels = np.random.default_rng(seed).integers(1, 2**16, batch)
    words = label_words(labels, shape)
    assert words.shape == (shape.cut.sets * DEPTH,)
    for b in range(batch):
        number, s = divmod(b, shape.cut.samples)
        assert words[number * DEPTH + s] == labels[b]
    assert np.count_nonzero(words) == batch


@given(shapes())
@settings(deadline=None, max_examples=60)
def test_extent_names_the_samples_present(drawn):
    """The extent's masks have a bit for exactly the samples that are present."""
    shape, batch = drawn
    cut = shape.cut
    full, partial = cut.extent(batch)
    for number in range(cut.sets):
        mask = {True: (1 << cut.steps * cut.samples) - 1}.get(
            number < full, partial if number == full else 0
        )
        for t in range(cut.steps):
            for s in range(cut.samples):
                present = mask >> t * cut.samples + s & 1
                assert present == (number * cut.samples + s < batch)


def test_a_short_last_span():
    """Two sets of two samples, three spans, of which the last has one step of two: every place."""
    shape = Shape(2, Cut(samples=2, sets=2, steps=2, spans=3, last_steps=1))
    spikes = np.zeros((3, 5, 3), np.uint8)
    spikes[0, 0, 0] = spikes[1, 3, 1] = spikes[2, 4, 0] = spikes[2, 1, 2] = 1
    lines = spike_words(spikes, shape).view(np.uint16).reshape(2, 6, 2)  # tile, block, lane
    found = {tuple(map(int, at)): int(lines[tuple(at)]) for at in np.argwhere(lines)}
    assert found == {(0, 0, 0): 1 << 0, (0, 1, 1): 1 << 3, (0, 5, 0): 1 << 0, (1, 3, 0): 1 << 2}
    # What lies behind the last step, or behind the last sample, is not read.
    rows = np.full((2 * 6 * DEPTH, 2), 7, np.uint16)
    for b, t in np.ndindex(3, 5):
        block = b // 2 * 3 + t // 2
        rows.reshape(2, 6, DEPTH, 2)[:, block, t % 2 * 2 + b % 2] = 100 + 10 * b + t
    want = 100 + 10 * np.arange(3)[:, None, None] + np.arange(5)[:, None]
    assert (unit_tensor(rows, shape, 3, 3) == want).all()


@pytest.mark.parametrize("lanes", [2, 8, 16])
def test_words_are_little_endian(lanes):
    """Two banks a word, the lower one low."""
    weights = np.arange(1, 1 + lanes, dtype=np.uint16)[None]
    words = weight_rows(weights, lanes).view(np.uint32).ravel()
    assert words[0] == 2 << 16 | 1
