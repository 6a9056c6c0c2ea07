"""JSON as the managed Python runtimes read and write it.

AWS's client encodes with `simplejson`, which differs from `json`: an object with `_asdict()` (a named tuple) becomes a JSON
object, bytes are decoded as UTF-8, Decimal is written as the number it is, and NaN is written but not read. Values made of
plain dict, list, tuple, str, int, float, bool and None, which is nearly all of them, are written by the interpreter's C
encoder; anything else by `_write`. Both are used without the `json` package, whose regular expressions cost milliseconds to
import.
"""

import _json

_PLAIN_SCALARS = frozenset((str, int, float, bool, type(None)))
_ONLY_STRINGS = frozenset((str,))
_WHITESPACE = " \t\n\r"


class _ScannerSettings:
    """What `_json.make_scanner` asks of a decoder."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    memo = {}

    @staticmethod
    def parse_constant(name):
        raise ValueError("Expecting value: %s is not valid JSON" % name)


_scan = _json.make_scanner(_ScannerSettings)


def loads(body):
    """Decodes one JSON text. Raises ValueError (UnicodeDecodeError, JSONDecodeError) for anything else."""
    text = body.decode("utf-8")
    length = len(text)
    start = 0
    while start < length and text[start] in _WHITESPACE:
        start += 1
    try:
        value, end = _scan(text, start)
    except (StopIteration, SystemError):  # the C scanner needs the json package loaded to say what is wrong
        return _loads_with_explanation(text)
    while end < length and text[end] in _WHITESPACE:
        end += 1
    return value if end == length else _loads_with_explanation(text)


def _loads_with_explanation(text):
    import json

    return json.loads(text, parse_constant=_ScannerSettings.parse_constant)


def _refuse(value):
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


class Encoder:
    """`encode(value)` returns JSON text. Raises TypeError, ValueError or RecursionError for what JSON cannot hold."""

    def __init__(self, ensure_ascii):
        self._quote = _json.encode_basestring_ascii if ensure_ascii else _json.encode_basestring
        self._encode_plain = _json.make_encoder(None, _refuse, self._quote, None, ": ", ", ", False, False, True)

    def encode(self, value):
        kind = type(value)
        if kind is str:
            return self._quote(value)
        try:
            plain = _is_plain(value)
        except RecursionError:  # circular, or deeper than either encoder can go
            plain = False
        if plain:
            return "".join(self._encode_plain(value, 0))
        parts = []
        self._write(value, parts.append, set())
        return "".join(parts)

    def _write(self, value, out, open_containers):
        if isinstance(value, str):
            out(self._quote(str.__str__(value)))
        elif isinstance(value, bytes):
            out(self._quote(str(value, "utf-8")))
        elif value is None:
            out("null")
        elif value is True:
            out("true")
        elif value is False:
            out("false")
        elif isinstance(value, int):
            out(int.__repr__(value))
        elif isinstance(value, float):
            out(_float_text(value))
        else:
            self._write_container(value, out, open_containers)

    def _write_container(self, value, out, open_containers):
        as_dict = getattr(value, "_asdict", None)
        members = None
        if callable(as_dict):
            try:
                members = as_dict()
            except TypeError:
                pass
            else:
                if not isinstance(members, dict):
                    raise TypeError("_asdict() must return a dict, not %s" % type(members).__name__)
        if members is None and isinstance(value, dict):
            members = value

        if members is None and not isinstance(value, (list, tuple)):
            out(_decimal_text(value))
            return
        if id(value) in open_containers:
            raise ValueError("Circular reference detected")
        open_containers.add(id(value))
        if members is not None:
            self._write_members(members, out, open_containers)
        else:
            separator = "["
            for item in value:
                out(separator)
                separator = ", "
                self._write(item, out, open_containers)
            out("]" if separator == ", " else "[]")
        open_containers.discard(id(value))

    def _write_members(self, members, out, open_containers):
        separator = "{"
        for key, item in members.items():
            out(separator)
            separator = ", "
            out(self._quote(_key_text(key)))
            out(": ")
            self._write(item, out, open_containers)
        out("}" if separator == ", " else "{}")


def _is_plain(value):
    """True if the C encoder writes `value` the way AWS's client does. The types of a container's items are gathered in C."""
    kind = type(value)
    if kind is dict:
        if not _ONLY_STRINGS.issuperset(map(type, value)):
            return False
        items = value.values()
    elif kind is list or kind is tuple:
        items = value
    else:
        return kind in _PLAIN_SCALARS
    if _PLAIN_SCALARS.issuperset(map(type, items)):
        return True
    for item in items:
        if type(item) not in _PLAIN_SCALARS and not _is_plain(item):
            return False
    return True


def _key_text(key):
    if isinstance(key, str):
        return str.__str__(key)
    if isinstance(key, bytes):
        return str(key, "utf-8")
    if isinstance(key, float):
        return _float_text(key)
    if key is True:
        return "true"
    if key is False:
        return "false"
    if key is None:
        return "null"
    if isinstance(key, int):
        return int.__repr__(key)
    raise TypeError("keys must be str, int, float, bool or None, not " + type(key).__name__)


def _float_text(value):
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return float.__repr__(value)


def _decimal_text(value):
    import decimal

    if not isinstance(value, decimal.Decimal):
        _refuse(value)
    return "NaN" if value.is_nan() else str(value)
