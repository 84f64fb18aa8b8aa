"""Scores that are dot products of what they make of query and key."""

from typing import Any

from diffattn.attention.kernels.products import attend_by_product, dot_products
from diffattn.attention.registry import Score


class ProductScore(Score):
    """x_i · y_j, with x and y made of query and key: `as_product` says how.

    Such a score needs no `__call__`, and attends without its T × S weights wherever
    the dot product does.
    """

    def as_product(
        self, query: Any, key: Any, scale: float, **parameters: Any
    ) -> tuple[Any, Any]:
        """Compute x and y.

        Args:
            query, key, scale, parameters: as for `Score.__call__`.

        Returns:
            Tensors of shapes (B, H, T, m) and (B, H, S, m), with any m.
        """
        raise NotImplementedError(f"{type(self).__name__} has no as_product")

    def __call__(self, query: Any, key: Any, scale: float, **parameters: Any) -> Any:
        return dot_products(*self.as_product(query, key, scale, **parameters))

    def attend(
        self,
        query: Any,
        key: Any,
        value: Any,
        *,
        scale: float,
        mask: Any,
        dropout_mask: Any,
        **parameters: Any,
    ) -> Any:
        def factors():
            return self.as_product(query, key, scale, **parameters)

        return attend_by_product(factors, query, key, value, mask, dropout_mask)
