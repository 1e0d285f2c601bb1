"""Typed models: a document with named fields, each of a declared replicated type.

    class Cart(Model):
        items: ORMap[str, PNCounter]
        owner: LWWRegister[str]

On the wire a model is a map from field names to places, so replicas with different versions of a model still agree: a
field that one of them does not declare is kept and passed on.
"""

from __future__ import annotations

import inspect
import typing
from typing import Any, ClassVar

from ringleader.crdt.base import Crdt, Shape, register, shape_of
from ringleader.crdt.identity import ReplicaContext
from ringleader.crdt.places import Places
from ringleader.errors import Reason, UsageError

__all__ = ["Model"]


class _Field:
    """One declared field: reading gives the nested node, assigning a plain value writes it."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: Model | None, owner: type[Model]) -> Any:
        if instance is None:
            return self
        return instance._handle(self.name, instance._fields()[self.name].cls.tag)

    def __set__(self, instance: Model, value: Any) -> None:
        instance._write_field(self.name, value)


@register
class Model(Places):
    """Subclass and annotate. `Cart(ReplicaContext(...))` is writable, `Cart()` a read-only copy."""

    __slots__ = ()
    tag = 20
    name = "Model"
    _declared: ClassVar[tuple[str, ...]] = ()

    def __init__(self, replica: ReplicaContext | None = None) -> None:
        self._values: Shape | None = None
        super().__init__(replica)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = [name for name in inspect.get_annotations(cls) if not name.startswith("_")]
        for name in own:
            if hasattr(Model, name):
                raise UsageError(
                    f"{cls.__name__}.{name}: a field cannot be called like a method of every replicated type",
                    reason=Reason.INVALID_ARGUMENT,
                    hint="Choose another name",
                )
            setattr(cls, name, _Field(name))
        cls._declared = (*cls._declared, *own)

    @classmethod
    def _fields(cls) -> dict[str, Shape]:
        """The declared fields and their shapes. Raises `UsageError` for an annotation that is no replicated type."""
        cached: dict[str, Shape] | None = cls.__dict__.get("_cached_fields")
        if cached is None:
            try:
                hints = typing.get_type_hints(cls)
            except NameError as error:
                raise UsageError(
                    f"{cls.__name__}: {error}", reason=Reason.INVALID_ARGUMENT, hint="Import the type at module level"
                ) from error
            cached = {name: shape_of(hints[name]) for name in cls._declared}
            cls._cached_fields = cached  # type: ignore[attr-defined]  # of each class, not inherited
        return cached

    def _shape_for(self, key: Any, tag: int) -> Shape:
        shape = self._fields().get(key) if type(key) is str else None
        return shape if shape is not None and shape.cls.tag == tag else super()._shape_for(key, tag)

    def _write_field(self, name: str, value: Any) -> None:
        if isinstance(value, Crdt):
            self._put(name, value)  # the second half of cart.likes += 1
        else:
            self._handle(name, self._fields()[name].cls.tag)._assign(value)

    def _value(self) -> dict[str, Any]:
        fields = self._fields()
        if not fields:
            return super()._value()
        return {name: self._handle(name, shape.cls.tag)._value() for name, shape in fields.items()}

    @property
    def value(self) -> dict[str, Any]:
        """The declared fields as plain data."""
        return self._value()
