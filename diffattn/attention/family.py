"""The family of the differential scores: any lag, any coefficient, also a learned one.

    s_ij = scale · (q_i · k_j + λ q_{i−ℓ} · k_{j−ℓ}), with 0 before token 0

With the lag ℓ = 1, the coefficient λ = −1 is the documented score and λ = 0 the dot
product. The same scores come from one dot product of twice the features,
[q_i, λ q_{i−ℓ}] · [k_j, k_{j−ℓ}]: query and key are seen together with their past.

Source: with the lag 1 it is the 2 × 2 key-query convolution of Multi-Token Attention
(Golovneva, Wang, Weston and Sukhbaatar, 2025, arXiv:2504.00927) with the kernel
[[λ, 0], [0, 1]].
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from diffattn.attention.kernels.products import by_head
from diffattn.attention.kernels.shift import check_lag, previous_by_head
from diffattn.attention.registry import Parameter, Score
from diffattn.checks import check_choice, check_int, check_number


class WithPrevious(Score):
    """What the two differential scores share: their options, and what these change.

    Args:
        lag: ℓ, how many tokens back the second product looks: a positive int, or
            several. Several are shared evenly among the heads, in their order: of
            eight heads with the lags (1, 2), the first four look one token back.
        coefficient: λ, a finite number: what the second product counts.
        learned: bool, whether λ is trained: a number for each head, which starts at
            `coefficient`.

    Raises:
        ValueError: on an option out of its bounds. The layer raises one when it is
            built if the number of lags does not divide the number of heads.
    """

    def __init__(
        self,
        lag: int | Sequence[int] = 1,
        coefficient: float = -1.0,
        learned: bool = False,
    ):
        self.lag = _checked_lag(lag)
        check_number("coefficient", coefficient)
        self.coefficient = float(coefficient)
        check_choice("learned", learned, (True, False))
        self.learned = bool(learned)
        self.reach = max(self.lag) if isinstance(self.lag, tuple) else self.lag
        if self.coefficient == 0 and not learned:
            self.symmetries = self.without_previous
            self.reach = 0
        if (self.lag, self.coefficient, self.learned) != (1, -1, False):
            self.formula, self.plain_formula = self.general_formulas

    uses_places = True
    #: The symmetries where the coefficient is 0 and the past counts nothing.
    without_previous: frozenset[str]
    #: Formula and plain formula with any lag and coefficient.
    general_formulas: tuple[str, str]

    def parameters(self, num_heads: int, head_dim: int) -> dict[str, Parameter]:
        check_lag(self.lag, num_heads)
        if not self.learned:
            return {}
        start = keras.initializers.Constant(self.coefficient)
        return {"coefficient": Parameter((num_heads,), start)}

    def by_head(self, coefficient: Any) -> Any:
        """Return λ as what multiplies a query of shape (B, H, T, d).

        Args:
            coefficient: the learned one, a tensor of shape (H,), or None.

        Returns:
            A number, or a tensor of shape (1, H, 1, 1).
        """
        if coefficient is None:
            return self.coefficient
        return by_head(coefficient)

    def is_fixed_with_one_lag(self, coefficient: Any) -> bool:
        """Tell whether one number stands for λ and another for ℓ."""
        return coefficient is None and isinstance(self.lag, int)


def _checked_lag(lag):
    """The lag as an int or a tuple; a JSON file has a list in its place."""
    if not isinstance(lag, list | tuple):
        check_int("lag", lag)
        return int(lag)
    if not lag:
        raise ValueError(f"lag must not be empty. Received: lag={lag!r}")
    for one in lag:
        check_int("lag", one)
    return int(lag[0]) if len(lag) == 1 else tuple(map(int, lag))


def with_previous(
    x: Any, factor: Any, lag: int | tuple[int, ...], segment_ids: Any = None
) -> Any:
    """Set each vector beside its predecessor: [x_i, factor · x_{i−ℓ}].

    Args:
        x: tensor of shape (B, H, T, d).
        factor: a number or a tensor that broadcasts to `x`.
        lag, segment_ids: as for `previous_by_head`.

    Returns:
        A tensor of shape (B, H, T, 2d).
    """
    past = factor * previous_by_head(x, lag, segment_ids)
    return ops.concatenate([x, past], axis=-1)
