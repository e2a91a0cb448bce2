"""What all sections of a recipe are made of: their base class and the types of common values."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError


@dataclass(frozen=True)
class Words:
    """What a value must be, in a user's words, where the type alone does not say it."""

    text: str


class Section(BaseModel):
    """What all sections share: unknown keys are errors, values never change, defaults pass the same checks."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        validate_default=True,  # so that a value is checked against the default of another key too
        allow_inf_nan=False,
        protected_namespaces=(),
    )


def _blank_if_null(value: object) -> object:
    return "" if value is None else value


Name = Annotated[str, Field(min_length=1)]
OptionalName = Annotated[str, BeforeValidator(_blank_if_null)]
Language = Annotated[
    str, Field(pattern=r"^[A-Za-z]{2,}([-_][A-Za-z0-9]+)*$"), Words("a language code such as en or pt-BR")
]
Share = Annotated[float, Field(ge=0, lt=1)]
DropRate = Annotated[float, Field(ge=0, le=0.9)]
Count = Annotated[int, Field(ge=1)]
Precision = Literal["auto", "fp32", "bf16"]
DecodePrecision = Literal["auto", "fp32", "bf16", "int8"]


def first_fault(error: ValidationError) -> str:
    """Returns where in something stored, and what, is wrong first."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]


def conflict(reason: str, *keys: str) -> PydanticCustomError:
    """Values that do not go together.

    Args:
        reason: what is wrong, in a user's words.
        keys: the keys at fault, dotted, relative to the section of the key whose validator raises this; the first one
            that the recipe sets is blamed.
    """
    return PydanticCustomError("conflict", "{reason}", {"reason": reason, "keys": list(keys)})
