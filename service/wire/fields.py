"""Field types of requests, and request models made from options dataclasses."""

from dataclasses import MISSING, fields
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from model import MAX_IMAGE_SIDE_PX

STRICT = ConfigDict(strict=True, extra="forbid")


def whole(value: object) -> object:
    """1920.0 -> 1920, because JSON has only one type of number."""
    return int(value) if type(value) is float and value.is_integer() else value


Finite = Annotated[float, Field(allow_inf_nan=False)]
Side = Annotated[int, BeforeValidator(whole), Field(ge=1, le=MAX_IMAGE_SIDE_PX)]
Count = Annotated[int, BeforeValidator(whole), Field(ge=0, le=2**53)]


def options_model(name: str, options: type, config: ConfigDict, *leave_out: str) -> type[BaseModel]:
    """A request model with the fields of an options dataclass (model.lifting.options)."""
    types = get_type_hints(options)
    declared: dict[str, Any] = {}
    for option in fields(options):
        if option.name in leave_out:
            continue
        limits, kind = option.metadata, types[option.name]
        if limits["choices"]:
            kind = Literal[limits["choices"]]
        elif kind in (float, float | None):
            kind = Finite if kind is float else Finite | None
        assert option.default is not MISSING
        field = Field(ge=limits["least"], le=limits["most"], description=limits["meaning"])
        declared[option.name] = (Annotated[kind, field], option.default)
    return create_model(name, __config__=config, **declared)
