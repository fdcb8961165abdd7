"""Functions of float32 that LLVM vectorises: no branch, no call, at most 2 ulp off.

Special values are NumPy's, except for the sign of a zero. Where rounding would cost more than an
ulp, the polynomial is evaluated in float64 and the result rounded once.

Sines and cosines are not among them: reducing numbers of any size without a branch takes longer
than the C library's functions. Nor are functions of float64.

Importing this module imports Numba.
"""

from typing import Any

import numba
import numpy as np

from .pointers import bits_of_float, float_of_bits, int_of_float, polynomial, select

__all__ = ["erf", "exp", "expm1", "log", "log1p", "power", "tanh"]

INF, NAN, LN2 = np.inf, np.nan, 0.6931471805599453
LOG2E, LOWEST, HIGHEST, HALF = map(np.float32, (1.44269504, -104.0, 89.0, 0.5))
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)  # of Cephes

# (eʳ - 1 - r)/r² where |r| ≤ ½ ln 2; atanh(√z)/√z·2 where z ≤ 0.0295; erf(√z)/√z where z ≤ 1;
# e^(a²)·(1 - erf a) as a function of 1/(1 + a/2) where 1 ≤ a ≤ 4. Fitted at Chebyshev's points
_exp_tail = polynomial(
    0.4999999999995506, 0.16666666719013548, 0.041666666786317495, 0.008333298477768682,
    0.0013888839099670445, 0.00019899278374977742, 2.4867876317266267e-05,
)  # fmt: skip
_log_of_ratio = polynomial(
    1.9999999999999458, 0.6666666667966477, 0.3999999486744008, 0.28572168576549917,
    0.2217415123530654, 0.1960949514456096,
)  # fmt: skip
_erf_near = polynomial(
    1.128379167094695, -0.37612638889869227, 0.11283791313495524, -0.026866133625057537,
    0.005223785005065915, -0.000854267051960743, 0.00011956946208788105, -1.3911697121197441e-05,
    1.0595265237555364e-06,
)  # fmt: skip
_erf_far = polynomial(
    -0.00016045762407701026, 0.28500553799149747, 0.25910447153076854, 0.34980761718128284,
    -0.107693177967563, 0.5681912628300617, -0.47445799799364013, 0.12026210909266498,
)  # fmt: skip
_exp_tail_single = polynomial(
    0.5, 1.6666665459e-1, 4.1665795894e-2, 8.3334519073e-3, 1.3981999507e-3, 1.9875691500e-4
)  # of Cephes's expf


def inline(function: Any) -> Any:
    """Compiled into its callers; no flag assumes that there are no NaN or infinities."""
    return numba.njit(forceinline=True, fastmath={"contract"}, error_model="numpy", _nrt=False)(
        function
    )


@inline
def exp(x: Any) -> Any:
    """x = n·ln 2 + r, a polynomial of r, and n added to the exponent in two halves."""
    inside = select(x > LOWEST, select(x < HIGHEST, x, HIGHEST), LOWEST)
    n = np.floor(inside * LOG2E + HALF)
    r = inside - n * LN2_HIGH - n * LN2_LOW
    y = _exp_tail_single(r) * (r * r) + r + np.float32(1)
    exponent = int_of_float(n)
    half = exponent >> 1
    first = float_of_bits(np.int32((half + 127) << 23))
    second = float_of_bits(np.int32((exponent - half + 127) << 23))
    return select(x == x, y * first * second, x)


@inline
def _expm1(x: Any) -> Any:
    """e^x - 1 of a float64 within ±700."""
    n = np.floor(x * 1.4426950408889634 + 0.5)
    r = x - n * LN2
    power = float_of_bits((np.int64(int_of_float(n)) + 1023) << 52)
    return power * (_exp_tail(r) * (r * r) + r) + (power - 1.0)


@inline
def _log(x: Any) -> Any:
    """x = 2ⁿ·m where √½ ≤ m < √2; log m = 2·atanh((m - 1)/(m + 1)); of a float64."""
    bits = bits_of_float(x) - 0x3FE6A09E667F3BCD  # of √½
    n = np.float64(np.int32(bits >> 52))
    m = float_of_bits((bits & 0x000FFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD)
    s = (m - 1.0) / (m + 1.0)
    y = n * LN2 + s * _log_of_ratio(s * s)
    return select(x > 0.0, select(x < INF, y, x), select(x == 0.0, -INF, NAN))


@inline
def log(x: Any) -> Any:
    """Of negative numbers NaN, of 0 -inf."""
    return np.float32(_log(np.float64(x)))


@inline
def log1p(x: Any) -> Any:
    """log(1 + x); x itself where 1 + x would be rounded too much."""
    x64 = np.float64(x)
    return np.float32(select(abs(x64) < 2.98e-8, x64, _log(1.0 + x64)))


@inline
def expm1(x: Any) -> Any:
    """e^x - 1."""
    x64 = np.float64(x)
    inside = select(x64 > -104.0, select(x64 < 89.0, x64, 89.0), -104.0)
    return select(x == x, np.float32(_expm1(inside)), x)


@inline
def tanh(x: Any) -> Any:
    """(e^2x - 1)/(e^2x + 1)."""
    twice = 2.0 * np.float64(x)
    inside = select(twice > -40.0, select(twice < 40.0, twice, 40.0), -40.0)
    t = _expm1(inside)
    return select(x == x, np.float32(t / (t + 2.0)), x)


@inline
def erf(x: Any) -> Any:
    """x·P(x²) where |x| < 1, further out 1 - e^(-x²)·R(1/(1 + |x|/2))."""
    x64 = np.float64(x)
    a = abs(x64)
    near = select(a < 1.0, x64, 0.0)
    far = select(a < 4.0, a, 4.0)
    tail = (1.0 + _expm1(-far * far)) * _erf_far(1.0 / (1.0 + 0.5 * far))
    outside = 1.0 - tail
    inside = near * _erf_near(near * near)
    y = select(a < 1.0, inside, select(x64 < 0.0, -outside, outside))
    return select(x == x, np.float32(y), x)


@inline
def power(x: Any, y: Any) -> Any:
    """e^(y·log |x|), with the sign of x where y is odd; the special values of C's pow."""
    y64 = np.float64(y)
    size = abs(np.float64(x))
    t = y64 * _log(size)
    t = select(t > -120.0, select(t < 100.0, t, 100.0), -120.0)
    n = np.floor(t * 1.4426950408889634 + 0.5)
    r = t - n * LN2
    scale = float_of_bits((np.int64(int_of_float(n)) + 1023) << 52)
    result = select(size == 1.0, 1.0, scale * (_exp_tail(r) * (r * r) + r + 1.0))
    is_whole = np.floor(y64) == y64
    is_odd = is_whole & (np.floor(y64 * 0.5) * 2.0 != y64)
    is_negative = bits_of_float(x) < 0
    result = select(is_negative & is_odd, -result, result)
    is_lost = is_negative & (not is_whole) & (size < INF) & (size > 0.0)
    result = select(is_lost | (x != x) | (y64 != y64), NAN, result)
    return np.float32(select((y64 == 0.0) | (x == 1.0), 1.0, result))
