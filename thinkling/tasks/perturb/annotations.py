"""Calculator annotations: the arithmetic of a worked solution, exactly as its author noted it.

GSM8K's solutions (Cobbe et al. 2021, arXiv:2110.14168, section 2 and appendix A) carry every calculation as
``<<48/2=24>>``. Each becomes an expression over the numbers that it spells.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from thinkling.tasks.perturb.change import Refused

_ANNOTATION = re.compile(r"<<([^<>]*)>>")
_ARITHMETIC = re.compile(r"[0-9.+*/() -]+")
_OPERATORS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


@dataclass(frozen=True, slots=True)
class Literal:
    """The ``place``-th number of a step."""

    place: int


@dataclass(frozen=True, slots=True)
class Operation:
    op: str
    left: Expression
    right: Expression


Expression = Literal | Operation


@dataclass(frozen=True, slots=True)
class Calculation:
    """One annotation: ``expression`` over ``literals`` makes ``result``."""

    expression: Expression
    literals: tuple[Fraction, ...]
    result: Fraction


def calculations(solution: str) -> list[Calculation]:
    """The annotations of a solution, in order. Refused without any, or where one is not exact arithmetic."""
    found = [_calculation(match.group(1)) for match in _ANNOTATION.finditer(solution)]
    if not found:
        raise Refused("the solution has no calculator annotations")
    return found


def operations(
    expression: Expression, values: Sequence[Fraction]
) -> Iterator[tuple[str, Fraction, Fraction, Fraction]]:
    """(operator, left, right, result) of every operation, the outermost last. Raises ZeroDivisionError."""
    if isinstance(expression, Literal):
        return
    sides = []
    for side in (expression.left, expression.right):
        made = list(operations(side, values))
        yield from made
        sides.append(made[-1][3] if made else evaluate(side, values))
    yield expression.op, sides[0], sides[1], _apply(expression.op, sides[0], sides[1])


def evaluate(expression: Expression, values: Sequence[Fraction]) -> Fraction:
    """The value of an expression whose literals are ``values``. Raises ZeroDivisionError."""
    if isinstance(expression, Literal):
        return values[expression.place]
    *_, (_, _, _, result) = operations(expression, values)
    return result


def spelled(expression: Expression, words: Sequence[str]) -> str:
    """The expression with its literals written as ``words``: "(12+8)*3"."""
    if isinstance(expression, Literal):
        return words[expression.place]
    left, right = (spelled(side, words) for side in (expression.left, expression.right))
    if _strength(expression.left) < _strength(expression):
        left = f"({left})"
    if _strength(expression.right) < _strength(expression) + (expression.op in "-/"):
        right = f"({right})"
    return f"{left}{expression.op}{right}"


def _strength(expression: Expression) -> int:
    """How strongly an expression holds together: sums 1, products 2, numbers 3."""
    return 3 if isinstance(expression, Literal) else 1 if expression.op in "+-" else 2


def _apply(op: str, left: Fraction, right: Fraction) -> Fraction:
    if op == "+":
        return left + right
    if op == "-":
        return left - right
    return left * right if op == "*" else left / right


def _calculation(text: str) -> Calculation:
    written, equals, result = text.replace(",", "").replace("$", "").partition("=")
    plain = written.strip()
    if not equals or not _ARITHMETIC.fullmatch(plain) or not re.fullmatch(r"\s*[\d.]*\d\.?\s*", result):
        raise Refused("an annotation is not plain arithmetic")
    try:
        tree = ast.parse(plain, mode="eval").body
        literals: list[Fraction] = []
        expression = _expression(plain, tree, literals)
        calculation = Calculation(expression, tuple(literals), Fraction(result.strip().rstrip(".")))
        exact = evaluate(expression, literals) == calculation.result
    except (SyntaxError, ValueError, ZeroDivisionError):
        raise Refused("an annotation is not plain arithmetic") from None
    if not exact:
        raise Refused("an annotation is not exact (a rounded result, or a wrong one)")
    return calculation


def _expression(text: str, node: ast.expr, literals: list[Fraction]) -> Expression:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left = _expression(text, node.left, literals)
        return Operation(_OPERATORS[type(node.op)], left, _expression(text, node.right, literals))
    if isinstance(node, ast.Constant):
        # The text and not the parsed float, so that 0.1 is a tenth.
        literals.append(Fraction(text[node.col_offset : node.end_col_offset].rstrip(".")))
        return Literal(len(literals) - 1)
    raise ValueError(text)
