"""Trained weights: made once, kept in a safetensors file that knows what they were made from.

Its tensors are float32, under PyTorch's names. Its metadata has `backspike`, JSON of format,
network, scale and recipe with a fingerprint of all that determines the weights, and `sha256`, a
digest of that and the tensors.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from backspike.golden import hyra
from backspike.ir.errors import UserError
from backspike.spectral.superresolution import networks, resize, training
from backspike.spectral.superresolution.training import STEPS, Recipe
from backspike.system.cache import cached, fingerprint
from backspike.system.files import write_file

FORMAT = 1


def trained(
    name: str,
    scale: int,
    folder: Path | None = None,
    recipe: Recipe | None = None,
    bar: bool = False,
) -> nn.Module:
    """The trained network `srcnn` or `fsrcnn`: read, or trained and written if it is not there.

    folder: holds `NAME-xSCALE.safetensors`, or will; by default an entry of the cache, whose name
    depends on all that determines the weights. bar: show the progress of training.
    Raises UserError for a file that is damaged or holds weights that were made otherwise.
    """
    recipe = recipe or Recipe(steps=STEPS[name])
    pixels = training.pixels_to_train_with()
    about = {
        "format": FORMAT,
        "network": name,
        "scale": scale,
        "recipe": asdict(recipe),
        "made_from": fingerprint([*_sources(), *(p.tobytes() for p in pixels), torch.__version__]),
    }
    file = f"{name}-x{scale}.safetensors"

    def make(into: Path) -> None:
        write(training.train(name, scale, recipe, pixels, bar), about, into / file)

    if folder is None:
        folder = cached(f"{name}-x{scale}", [json.dumps(about)], make)
    elif not (folder / file).exists():
        make(folder)
    return read(folder / file, about)


def write(network: nn.Module, about: dict, path: Path) -> None:
    """Write the weights whole or not at all."""
    tensors = {key: value.contiguous() for key, value in network.state_dict().items()}
    text = json.dumps(about)
    write_file(path, save(tensors, {"backspike": text, "sha256": _digest(text, tensors)}))


def read(path: Path, about: dict) -> nn.Module:
    """The network whose weights are in the file. UserError unless they are what `about` says."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"weights {path} cannot be read: {error}") from None
    if not {"backspike", "sha256"} <= metadata.keys():
        raise UserError(f"weights {path} were not written by backspike hyra")
    text = metadata["backspike"]
    if _digest(text, tensors) != metadata["sha256"]:
        raise UserError(f"weights {path} are damaged: their content differs from their digest")
    if (found := json.loads(text)) != about:
        key = next(key for key in about if found.get(key) != about[key])
        must = f"must have {about[key]}"
        if key == "made_from":
            must = "must be of this release of backspike and PyTorch, and its photographs"
        raise UserError(
            f"weights {path} have {key} {found.get(key)}, {must}; remove the file to train anew"
        )
    network = networks.make(about["network"], about["scale"])
    assert isinstance(network, nn.Module)
    network.load_state_dict(tensors)
    return network.eval().requires_grad_(False)


def _sources() -> list[bytes]:
    """The text of every module that has a say in what training gives."""
    return [
        Path(module.__file__ or "").read_bytes() for module in (hyra, networks, resize, training)
    ]


def _digest(text: str, tensors: dict[str, torch.Tensor]) -> str:
    hashed = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        hashed.update(name.encode() + tensors[name].numpy().tobytes())
    return hashed.hexdigest()
