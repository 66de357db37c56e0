"""Sums over the examples of logistic environments, in one pass over the data for all draws of a seed.

Signed inputs z = (2y - 1) (x, 1) carry the labels. With f = z'phi and q = 1 / (1 + exp f), of one environment:

    R    = E[log(1 + exp(-f))]                  the risk
    g    = -E[q z]                              its gradient
    dG   = -E[(q - q (1 - q) f) z]              the gradient of the dummy gradient G = phi'g
    B    = -E[q (2y - 1)]                       the dummy bias gradient: g's last, the input there being 1
    dB   = E[q (1 - q) (2y - 1) z]              its gradient
    H v  = E[q (1 - q) (z'v) z]                 the derivative of g along v

A block of some hundred examples, [P, B], stays in the processor's nearest cache while all draws pass over it, two at a
time, so that every number loaded is used twice. Examples are float32, as published code has them, and so is the
arithmetic within a block; sums over blocks are float64. A trial's arithmetic is its own, whatever batch it is in.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

f32 = np.float32
Floats = np.ndarray[Any, np.dtype[np.float32]]
Sums = np.ndarray[Any, np.dtype[np.float64]]
Asked = tuple[bool, bool, bool]

# Nothing that would let the compiler reorder the exponential's rounding steps; sums may be reordered, into vectors.
exactly = njit(nogil=True, error_model="numpy", fastmath={"contract", "nnan", "ninf", "nsz"})
summing = njit(nogil=True, error_model="numpy", fastmath=True)
compiled = njit(nogil=True, error_model="numpy")


@intrinsic
def _as_float(typing: Any, bits: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), code


@exactly
def _exponential(x: Any) -> Any:
    """exp x for x in [-87, 87], to 1e-7 of itself: Cephes' expf without its special cases."""
    shifted = x * f32(1.4426950408889634) + f32(12582912)  # adding 1.5 * 2^23 rounds to a whole number
    n = shifted - f32(12582912)
    r = x - n * f32(0.693359375)
    r = r + n * f32(2.12194440e-4)
    p = f32(1.9875691500e-4)
    p = p * r + f32(1.3981999507e-3)
    p = p * r + f32(8.3334519073e-3)
    p = p * r + f32(4.1665795894e-2)
    p = p * r + f32(1.6666665459e-1)
    p = p * r + f32(5.0000001201e-1)
    power = _as_float(np.int32((np.int32(n) + np.int32(127)) << np.int32(23)))
    return (p * r * r + r + f32(1)) * power


@exactly
def _doubts(f: Floats, q: Floats) -> None:
    """q = 1 / (1 + exp f)."""
    for i in range(f.shape[0]):
        q[i] = f32(1) / (f32(1) + _exponential(min(max(f[i], f32(-87)), f32(87))))


@exactly
def _losses(f: Floats, loss: Floats) -> None:
    """loss = log(1 + exp(-f)): Cephes' logf of 1 + t, t = exp(-|f|), which loses nothing of a small t."""
    for i in range(f.shape[0]):
        t = _exponential(max(-abs(f[i]), f32(-87)))
        large = t > f32(0.41421356)
        x = (t - f32(1)) * f32(0.5) if large else t
        p = f32(7.0376836292e-2)
        p = p * x - f32(1.1514610310e-1)
        p = p * x + f32(1.1676998740e-1)
        p = p * x - f32(1.2420140846e-1)
        p = p * x + f32(1.4249322787e-1)
        p = p * x - f32(1.6668057665e-1)
        p = p * x + f32(2.0000714765e-1)
        p = p * x - f32(2.4999993993e-1)
        p = p * x + f32(3.3333331174e-1)
        logarithm = x - f32(0.5) * x * x + p * x * x * x
        loss[i] = max(-f[i], f32(0)) + logarithm + (f32(0.69314718) if large else f32(0))


@exactly
def _dummy_weights(f: Floats, q: Floats) -> None:
    """f = q - q (1 - q) f."""
    for i in range(f.shape[0]):
        f[i] = q[i] - q[i] * (f32(1) - q[i]) * f[i]


@exactly
def _curve(q: Floats, h: Floats, out: Floats) -> None:
    """out = q (1 - q) h."""
    for i in range(q.shape[0]):
        out[i] = q[i] * (f32(1) - q[i]) * h[i]


@summing
def _total(values: Floats) -> Any:
    total = f32(0)
    for i in range(values.shape[0]):
        total += values[i]
    return total


@summing
def _project(z: Floats, v: Floats, f: Floats) -> None:
    """f = z'v, of P inputs, a multiple of four: twelve in the first pass, if there are so many, then four at a time."""
    P, B = z.shape
    if P < 12:
        v0, v1, v2, v3 = v[0], v[1], v[2], v[3]
        for i in range(B):
            f[i] = z[0, i] * v0 + z[1, i] * v1 + z[2, i] * v2 + z[3, i] * v3
    else:
        v0, v1, v2, v3, v4, v5 = v[0], v[1], v[2], v[3], v[4], v[5]
        v6, v7, v8, v9, v10, v11 = v[6], v[7], v[8], v[9], v[10], v[11]
        for i in range(B):
            f[i] = (
                (z[0, i] * v0 + z[1, i] * v1 + z[2, i] * v2 + z[3, i] * v3 + z[4, i] * v4 + z[5, i] * v5)
                + (z[6, i] * v6 + z[7, i] * v7 + z[8, i] * v8 + z[9, i] * v9 + z[10, i] * v10 + z[11, i] * v11)
            )  # fmt: skip
    for j in range(12 if P >= 12 else 4, P, 4):
        v0, v1, v2, v3 = v[j], v[j + 1], v[j + 2], v[j + 3]
        for i in range(B):
            f[i] += z[j, i] * v0 + z[j + 1, i] * v1 + z[j + 2, i] * v2 + z[j + 3, i] * v3


@summing
def _collect(z: Floats, q: Floats, p: Floats, out: Sums, other: Sums) -> None:
    """out += z q and other += z p."""
    P, B = z.shape
    for j in range(0, P, 4):
        a0, a1, a2, a3 = f32(0), f32(0), f32(0), f32(0)
        b0, b1, b2, b3 = f32(0), f32(0), f32(0), f32(0)
        for i in range(B):
            x, y, u, t = z[j, i], z[j + 1, i], z[j + 2, i], z[j + 3, i]
            a0 += q[i] * x
            a1 += q[i] * y
            a2 += q[i] * u
            a3 += q[i] * t
            b0 += p[i] * x
            b1 += p[i] * y
            b2 += p[i] * u
            b3 += p[i] * t
        out[j] += a0
        out[j + 1] += a1
        out[j + 2] += a2
        out[j + 3] += a3
        other[j] += b0
        other[j + 1] += b1
        other[j + 2] += b2
        other[j + 3] += b3


@compiled
def sums(z: Floats, phi: Floats, last: int, asked: Asked, loss: Sums, g: Sums, dG: Sums, dB: Sums) -> None:
    """Add up n R, -n g, -n dG and n dB of every environment of every draw, what is asked for.

    z: [S, E, K, P, B], with the signs 2y - 1 in row ``last``; phi: [S, M, P]; asked: whether R, dG and dB are;
    loss: [S, M, E]; g, dG, dB: [S, M, E, P]. M is even, P a multiple of four.
    """
    S, E, K, _, B = z.shape
    f, h, q, p = np.empty(B, f32), np.empty(B, f32), np.empty(B, f32), np.empty(B, f32)
    with_loss, with_dummy, with_bias = asked
    for s in range(S):
        for e in range(E):
            for k in range(K):
                block = z[s, e, k]
                for m in range(0, phi.shape[1], 2):
                    _project(block, phi[s, m], f)
                    _project(block, phi[s, m + 1], h)
                    if with_loss:
                        _losses(f, q)
                        _losses(h, p)
                        loss[s, m, e] += _total(q)
                        loss[s, m + 1, e] += _total(p)
                    _doubts(f, q)
                    _doubts(h, p)
                    _collect(block, q, p, g[s, m, e], g[s, m + 1, e])
                    if with_dummy:
                        _dummy_weights(f, q)
                        _dummy_weights(h, p)
                        _collect(block, f, h, dG[s, m, e], dG[s, m + 1, e])
                    if with_bias:
                        _curve(q, block[last], f)
                        _curve(p, block[last], h)
                        _collect(block, f, h, dB[s, m, e], dB[s, m + 1, e])


@compiled
def curvature(z: Floats, phi: Floats, v: Floats, out: Sums) -> None:
    """Add up n H v of every environment of every draw: shapes as in ``sums``, v and out [S, M, E, P]."""
    S, E, K, _, B = z.shape
    f, h, g, d = np.empty(B, f32), np.empty(B, f32), np.empty(B, f32), np.empty(B, f32)
    q = np.empty(B, f32)  # results go to arrays of their own: loops in place are not turned into vectors
    for s in range(S):
        for e in range(E):
            for k in range(K):
                block = z[s, e, k]
                for m in range(0, phi.shape[1], 2):
                    _project(block, phi[s, m], f)
                    _project(block, phi[s, m + 1], g)
                    _project(block, v[s, m, e], h)
                    _project(block, v[s, m + 1, e], d)
                    _doubts(f, q)
                    _curve(q, h, f)
                    _doubts(g, q)
                    _curve(q, d, g)
                    _collect(block, f, g, out[s, m, e], out[s, m + 1, e])
