"""Tensors as memory images: round trips, and single places by the map's own words."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backspike.compile.memory_image import (
    Shape,
    label_words,
    sample_rows,
    sample_tensor,
    spike_words,
    unit_tensor,
    weight_rows,
    weight_tensor,
)
from backspike.gen.machine import DEPTH

LANES = st.sampled_from([2, 4, 8, 16])


@st.composite
def shapes(draw) -> tuple[Shape, int]:
    """(shape, samples of a batch that it holds)."""
    steps = draw(st.integers(1, DEPTH))
    samples = draw(st.integers(1, DEPTH // steps))
    blocks = draw(st.integers(1, 4))
    batch = draw(st.integers(1, samples * blocks))
    return Shape(draw(LANES), steps, samples, blocks), batch


def random_bits(seed: int, shape: tuple[int, ...], dtype: type = np.uint16) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, np.iinfo(dtype).max, shape).astype(dtype)


def unit_rows(tensor: np.ndarray, shape: Shape) -> np.ndarray:
    """(B, T, N) to rows of units, place by place: row of unit * DEPTH + t * samples + s."""
    batch, steps, neurons = tensor.shape
    rows = np.zeros((shape.tiles(neurons) * shape.blocks * DEPTH, shape.lanes), tensor.dtype)
    for b in range(batch):
        block, s = divmod(b, shape.samples)
        for t in range(steps):
            for n in range(neurons):
                unit = n // shape.lanes * shape.blocks + block
                row = unit * DEPTH + t * shape.samples + s
                rows[row, n % shape.lanes] = tensor[b, t, n]
    return rows


@given(shapes(), st.integers(1, 40), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_units_come_back(drawn, neurons, seed):
    """Rows written place by place are read back as the tensor they came from."""
    shape, batch = drawn
    tensor = random_bits(seed, (batch, shape.steps, neurons))
    back = unit_tensor(unit_rows(tensor, shape), shape, batch, neurons)
    assert (back == tensor).all()
    assert back.dtype == tensor.dtype


@given(shapes(), st.integers(1, 40), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_spikes_are_bits_of_their_sources(drawn, sources, seed):
    """A tile's line n has bit t * samples + s of source n; nothing else is set."""
    shape, batch = drawn
    spikes = np.random.default_rng(seed).integers(0, 2, (batch, shape.steps, sources))
    spikes = spikes.astype(np.uint8)
    lines = spike_words(spikes, shape).view(np.uint16).reshape(-1, shape.lanes)
    assert len(lines) == shape.tiles(sources) * shape.blocks
    rows = unit_rows(spikes, shape).reshape(-1, DEPTH, shape.lanes)
    want = (rows.transpose(0, 2, 1).astype(np.uint32) << np.arange(DEPTH)).sum(-1)
    assert (lines == want).all()


@given(shapes(), st.integers(1, 40), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_samples_come_back(drawn, neurons, seed):
    """Values of samples come back from their rows, and the rest of the rows is 0."""
    shape, batch = drawn
    values = random_bits(seed, (batch, neurons))
    rows = sample_rows(values, shape)
    assert rows.shape == (shape.tiles(neurons), shape.blocks, DEPTH, shape.lanes)
    assert (sample_tensor(rows, shape, batch, neurons) == values).all()
    assert np.count_nonzero(rows) == values.size
    block, s = divmod(batch - 1, shape.samples)
    tile, lane = divmod(neurons - 1, shape.lanes)
    assert rows[tile, block, s, lane] == values[-1, -1]


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


@given(shapes(), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_labels(drawn, seed):
    """Each sample's label stands at its block and place, and all other words are 0."""
    shape, batch = drawn
    labels = np.random.default_rng(seed).integers(1, 2**16, batch)
    words = label_words(labels, shape)
    assert words.shape == (shape.blocks * DEPTH,)
    for b in range(batch):
        block, s = divmod(b, shape.samples)
        assert words[block * DEPTH + s] == labels[b]
    assert np.count_nonzero(words) == batch


@given(shapes())
@settings(deadline=None, max_examples=60)
def test_extent_names_the_samples_present(drawn):
    """The extent's masks have a bit for exactly the samples that are present."""
    shape, batch = drawn
    full, partial = shape.extent(batch)
    for block in range(shape.blocks):
        mask = {True: (1 << shape.steps * shape.samples) - 1}.get(
            block < full, partial if block == full else 0
        )
        for t in range(shape.steps):
            for s in range(shape.samples):
                present = mask >> t * shape.samples + s & 1
                assert present == (block * shape.samples + s < batch)


@pytest.mark.parametrize("lanes", [2, 8, 16])
def test_words_are_little_endian(lanes):
    """Two banks a word, the lower one low."""
    weights = np.arange(1, 1 + lanes, dtype=np.uint16)[None]
    words = weight_rows(weights, lanes).view(np.uint32).ravel()
    assert words[0] == 2 << 16 | 1
