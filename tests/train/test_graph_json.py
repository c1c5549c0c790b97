"""Graphs as JSON: every field there and back; what is no graph."""

import json

import numpy as np
import pytest

from backspike.ir.errors import UserError
from backspike.train.graph_json import graph_from_json, graph_to_json
from backspike.train.random_graphs import random_graph
from backspike.train.random_planes import random_planes


def test_random_graphs_come_back():
    """All neuron models, surrogates, kinds and options."""
    for seed in range(60):
        draw = random_planes if seed % 2 else random_graph
        graph = draw(np.random.default_rng(seed))
        assert graph_from_json(json.loads(json.dumps(graph_to_json(graph)))) == graph


def test_unknown_types():
    """A model and a kind that there is not, and a graph that cannot be."""
    about = graph_to_json(random_graph(np.random.default_rng(0)))
    about["connections"][0]["kind"]["type"] = "Conv"
    with pytest.raises(UserError, match="a kind is 'Conv', must be one of Dense, Conv2d, Id"):
        graph_from_json(about)
    about = graph_to_json(random_graph(np.random.default_rng(0)))
    neuron = next(p["neuron"] for p in about["populations"] if p["neuron"])
    neuron["type"] = "Izhikevich"
    with pytest.raises(UserError, match="a neuron model is 'Izhikevich', must be one of LIF, Cuba"):
        graph_from_json(about)
    with pytest.raises(UserError, match="a network has no input"):
        graph_from_json({"populations": [], "connections": []})
