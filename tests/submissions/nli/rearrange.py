"""Writes the weights of the honest styles: those of the reference, rearranged for each layout and in half precision.

    python tests/submissions/nli/rearrange.py

All four compute what the reference computes, each in its own way, so nobody has to train twelve models.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent
REFERENCE = HERE.parents[2] / "reference" / "nli.weights.safetensors"
HEADS, LAYERS = 4, 2


def network(found, old, new, first, second, transposed=False):
    """Each feed-forward network of a layer, alone or among experts: names of its matrices and of their biases."""
    experts = [f"experts.{e}." for e in range(4)] if f"{old}W_g" in found else [""]
    state = {f"{new}W_g": found[f"{old}W_g"]} if f"{old}W_g" in found else {}
    for part in experts:
        for number, (weight, bias) in {"0": first, "2": second}.items():
            matrix = found[f"{old}{part}{number}.weight"]
            state[f"{new}{part}{weight}"] = matrix.T if transposed else matrix
            state[f"{new}{part}{bias}"] = found[f"{old}{part}{number}.bias"]
    return state


def pair(found, old, new):
    """The weight and the bias of a layer under another name."""
    return {f"{new}.{kind}": found[f"{old}.{kind}"] for kind in ("weight", "bias")}


def library_modules(found):
    state = {"embedding.weight": found["tokens.weight"], "places": found["positions.weight"]}
    state |= (
        {"kinds.weight": found["sentences.weight"]}
        | pair(found, "norm", "head.0")
        | pair(found, "logits", "head.1")
    )
    for i in range(LAYERS):
        old, new = f"blocks.{i}.", f"layers.{i}."
        for kind in ("weight", "bias"):
            state[f"{new}attention.in_proj_{kind}"] = found[f"{old}queries_keys_values.{kind}"]
        state |= pair(found, f"{old}output", f"{new}attention.out_proj")
        state |= pair(found, f"{old}attention_norm", f"{new}n1") | pair(
            found, f"{old}network_norm", f"{new}n2"
        )
        state |= network(found, f"{old}network.", f"{new}ff.", ("0.weight", "0.bias"), ("2.weight", "2.bias"))
    return state


def heads_and_loops(found):
    words, sentences = found["tokens.weight"], found["sentences.weight"]
    state = {"first.weight": words + sentences[0], "second.weight": words + sentences[1]}
    state |= (
        {"where.weight": found["positions.weight"]}
        | pair(found, "norm", "last.0")
        | pair(found, "logits", "last.1")
    )
    for i in range(LAYERS):
        old, new = f"blocks.{i}.", f"encoders.{i}."
        for kind in ("weight", "bias"):
            parts = found[f"{old}queries_keys_values.{kind}"].chunk(3)
            for name, part in zip("qkv", parts, strict=True):
                for head, piece in enumerate(part.chunk(HEADS)):
                    state[f"{new}heads.{head}.{name}.{kind}"] = piece
        state |= pair(found, f"{old}output", f"{new}mix")
        state |= pair(found, f"{old}attention_norm", f"{new}before") | pair(
            found, f"{old}network_norm", f"{new}between"
        )
        state |= network(
            found, f"{old}network.", f"{new}inner.", ("w1.weight", "w1.bias"), ("w2.weight", "w2.bias")
        )
    return state


def fused_sdpa(found):
    tables = [found[f"{name}.weight"] for name in ("tokens", "positions", "sentences")]
    state = (
        {"table.weight": torch.cat(tables)} | pair(found, "logits", "answer") | pair(found, "norm", "norms.4")
    )
    for i in range(LAYERS):
        old = f"blocks.{i}."
        state |= pair(found, f"{old}queries_keys_values", f"qkv.{i}") | pair(found, f"{old}output", f"o.{i}")
        state |= pair(found, f"{old}attention_norm", f"norms.{2 * i}")
        state |= pair(found, f"{old}network_norm", f"norms.{2 * i + 1}")
        names = ("inside.weight", "inside.bias"), ("outside.weight", "outside.bias")
        state |= network(found, f"{old}network.", f"ff.{i}.", *names)
    return state


def einsum_parameters(found):
    state = {"E": found["tokens.weight"], "P": found["positions.weight"], "S": found["sentences.weight"]}
    state |= {"W": found["logits.weight"].T, "w": found["logits.bias"]}
    norms = [f"blocks.{i}.{name}" for i in range(LAYERS) for name in ("attention_norm", "network_norm")]
    for number, name in enumerate([*norms, "norm"]):
        state |= {f"N.{number}.gain": found[f"{name}.weight"], f"N.{number}.shift": found[f"{name}.bias"]}
    for i in range(LAYERS):
        old = f"blocks.{i}."
        matrix, bias = (found[f"{old}queries_keys_values.{kind}"] for kind in ("weight", "bias"))
        state[f"QKV.{i}"] = matrix.unflatten(0, (3, HEADS, -1)).mT
        state[f"qkv.{i}"] = bias.view(3, 1, HEADS, 1, -1)
        state[f"O.{i}"] = found[f"{old}output.weight"].T.unflatten(0, (HEADS, -1))
        state[f"o.{i}"] = found[f"{old}output.bias"]
        state |= network(found, f"{old}network.", f"F.{i}.", ("A", "a"), ("B", "b"), transposed=True)
    return state


def part(found, prefix):
    return {name.removeprefix(prefix): tensor for name, tensor in found.items() if name.startswith(prefix)}


def main():
    reference = load_file(REFERENCE)
    for style in (library_modules, heads_and_loops, fused_sdpa, einsum_parameters):
        whole = {name: tensor for name, tensor in reference.items() if name.startswith("history.")}
        for variant in ("vanilla", "sparse", "moe"):
            state = style(part(reference, f"{variant}."))
            if style is einsum_parameters:  # its mask is a buffer
                distance = (torch.arange(13)[:, None] - torch.arange(13)).abs()
                sparse = (distance < 3) | (distance % 4 == 0)
                state["M"] = sparse if variant == "sparse" else torch.ones_like(sparse)
            whole |= {f"{variant}.{name}": tensor for name, tensor in state.items()}
        halved = {name: t.half() if t.is_floating_point() else t for name, t in whole.items()}
        save_file(
            {name: t.contiguous().clone() for name, t in halved.items()},
            HERE / "honest" / f"{style.__name__}.safetensors",
        )


if __name__ == "__main__":
    main()
