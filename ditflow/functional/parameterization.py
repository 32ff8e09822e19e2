"""What is optimised, as one tensor, and the positional tensors ρ it stands for."""

from collections.abc import Callable
from typing import Literal

import torch

Positions = tuple[torch.Tensor, ...]
"""A backbone's positional tensors ρ, one value a token: rotary (cos, sin) or, with separate
copies for keys, (cos_q, sin_q, cos_k, sin_k), each [N, D]; sinusoidal (table,), [N, width]."""

Target = Literal["latents", "positions"]
Parameterization = Literal["values", "coordinates"]


def initial_parameter(
    stock: Positions,
    coordinates: torch.Tensor,
    parameterization: Parameterization,
    separate_query_key: bool = False,
) -> torch.Tensor:
    """The tensor whose optimisation starts at the stock ρ, float32.

    Returns:
        [N, 3] for `coordinates`, [2, N, 3] with separate query and key copies; [P, N, D] for
        `values`, where P is 2 for rotary positions (4 with separate copies) and 1 for sinusoidal
        ones, which know no copies.

    Example:
        >>> stock, coordinates = (torch.ones(6, 8), torch.zeros(6, 8)), torch.zeros(6, 3)
        >>> initial_parameter(stock, coordinates, "coordinates", separate_query_key=True).shape
        torch.Size([2, 6, 3])
        >>> initial_parameter(stock, coordinates, "values").shape
        torch.Size([2, 6, 8])
    """
    separate = separate_query_key and len(stock) == 2
    if parameterization == "coordinates":
        return torch.stack([coordinates.float()] * 2) if separate else coordinates.float().clone()
    return torch.stack([part.float() for part in (stock * 2 if separate else stock)])


def positions_of(
    parameter: torch.Tensor,
    parameterization: Parameterization,
    positions_at: Callable[[torch.Tensor], Positions],
) -> Positions:
    """ρ that a parameter stands for, differentiable.

    Example:
        >>> rotary = lambda coordinates: (coordinates.cos(), coordinates.sin())
        >>> len(positions_of(torch.zeros(2, 6, 3), "coordinates", rotary))  # of queries and of keys
        4
    """
    if parameterization == "values":
        return tuple(parameter.unbind(0))
    copies = parameter[None] if parameter.dim() == 2 else parameter
    return tuple(part for copy in copies for part in positions_at(copy))


def pack(
    parameters: list[torch.Tensor], initial: torch.Tensor, parameterization: Parameterization
) -> torch.Tensor:
    """Parameters of the guided steps as differences from the initial one, [G, ...].

    Values go to half precision, where a difference loses nothing visible; coordinates, 30 to 600
    times smaller, stay float32.

    Example:
        >>> initial = torch.zeros(6, 3)
        >>> pack([initial + 1, initial + 2], initial, "coordinates")[:, 0, 0]
        tensor([1., 2.])
    """
    dtype = torch.float32 if parameterization == "coordinates" else torch.float16
    return torch.stack([(parameter.detach() - initial).to(dtype) for parameter in parameters])
