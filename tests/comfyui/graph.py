"""A workflow in ComfyUI's API format, walked as ComfyUI does, with the nodes' own functions."""

from collections.abc import Mapping
from typing import Any

import torch


def run(
    workflow: Mapping[str, Any], nodes: Mapping[str, type], others: Mapping[str, Any]
) -> dict[str, tuple]:
    """What every node of a workflow gives, by its number.

    Args:
        workflow: numbers to class and inputs, of which a list is a link: number and output.
        nodes: classes whose inputs are checked against what they say of them.
        others: of ComfyUI's own nodes, functions of the same inputs.
    """
    done: dict[str, tuple] = {}

    def outputs(number: str) -> tuple:
        if number not in done:
            node = workflow[number]
            inputs = {
                name: outputs(value[0])[value[1]] if isinstance(value, list) else value
                for name, value in node["inputs"].items()
            }
            kind = node["class_type"]
            if kind in nodes:
                check(nodes[kind], node["inputs"], workflow, nodes)
                instance = nodes[kind]()
                with torch.inference_mode():  # as ComfyUI has it
                    done[number] = getattr(instance, instance.FUNCTION)(**inputs)
                assert len(done[number]) == len(nodes[kind].RETURN_TYPES)
            else:
                done[number] = others[kind](**inputs)
        return done[number]

    return {number: outputs(number) for number in workflow}


def check(node: type, inputs: Mapping[str, Any], workflow: Mapping, nodes: Mapping) -> None:
    """Each input is one that the node has, of its type, or among its choices and in its range."""
    described = node.INPUT_TYPES()
    known = described["required"] | described.get("optional", {})
    assert set(described["required"]) <= set(inputs) <= set(known)
    for name, value in inputs.items():
        kind, more = known[name]
        if isinstance(value, list):
            source = nodes.get(workflow[value[0]]["class_type"])
            assert source is None or source.RETURN_TYPES[value[1]] == kind
        elif isinstance(kind, list | tuple):
            assert value in kind
        elif kind == "INT":
            assert more["min"] <= value <= more["max"]
        else:
            assert kind == "STRING"
            assert isinstance(value, str)
