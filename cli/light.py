"""Commands that take their values as typed.

typer converts values through pydantic, whose import alone costs a tenth of a second on every run; lctx reads
its settings from four places by its own rules, so that nothing is left to convert.
"""

from typing import Any

from typer.core import TyperCommand, TyperGroup


class AsTyped:
    """A conversion that converts nothing."""

    def coerce(self, value: Any, **_where: Any) -> Any:
        """The value as the parser left it: a text, a list of texts, or true for a flag."""
        return value


_AS_TYPED = AsTyped()


class LightCommand(TyperCommand):
    """A command whose options and arguments are texts and flags."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, none of which converts."""
        return _light(super().get_params(ctx))


class LightGroup(TyperGroup):
    """The group around them, with its own options."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, none of which converts."""
        return _light(super().get_params(ctx))


def _light(params: list[Any]) -> list[Any]:
    for param in params:
        param.get_runtime_param = lambda: _AS_TYPED
    return params
