#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the data sets and judges the results. A process of its own, so that the driver stays small.

    arrays.py clustered|gaussian|low_rank OUT.npy N C      rows, from a fixed seed
    arrays.py pixels OUT.npy FOLDER N                      the first N training images of Fashion-MNIST, in [0, 1]
    arrays.py head OUT.npy ROWS.npy N                      the first N rows
    arrays.py take OUT.npy ROWS.npy NUMBERS.npy            the rows with these numbers
    arrays.py moved OUT.npy ROWS.npy SEED                  rows as they might have been an epoch earlier
    arrays.py losses FOLDER B C R PAIRS K DRAWN            inputs of the losses
    arrays.py shape ROWS.npy                               prints N, C and the type
    arrays.py inertia ROWS.npy CENTROIDS.npy               prints it, in double
    arrays.py difference A.npy B.npy                       prints the largest |a - b| / largest |b|
"""
import gzip
import json
import sys
from pathlib import Path

import numpy as np


def generator(seed):
    return np.random.Generator(np.random.SFC64(seed))


def normal(random, *shape):
    return random.standard_normal(shape, dtype=np.float32)


def unit(rows):
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def clustered(out, n, c):
    random = generator(1)
    centres = normal(random, 5000, int(c))
    np.save(out, unit(centres[random.integers(0, len(centres), int(n))] + normal(random, int(n), int(c))))


def gaussian(out, n, c):
    np.save(out, normal(generator(2), int(n), int(c)))


def low_rank(out, n, c):
    """Made in pieces: the whole at twice its size would not fit everywhere."""
    random, n, c, rank, centres = generator(3), int(n), int(c), 16, 25000
    centre, into = normal(random, centres, rank), normal(random, rank, c)
    rows = np.lib.format.open_memmap(out, "w+", np.float32, (n, c))
    for start in range(0, n, 1 << 16):
        size = min(1 << 16, n - start)
        inner = centre[random.integers(0, centres, size)] + np.float32(0.3) * normal(random, size, rank)
        rows[start:start + size] = unit(inner @ into + np.float32(0.3) * normal(random, size, c))
    rows.flush()


def pixels(out, folder, n):
    path = Path(folder) / "train-images-idx3-ubyte"
    data = path.read_bytes() if path.exists() else gzip.open(str(path) + ".gz").read()
    values = np.frombuffer(data, np.uint8, offset=16).reshape(-1, 784)[:int(n)]
    np.save(out, values.astype(np.float32) / np.float32(255))


def head(out, rows, n):
    np.save(out, np.ascontiguousarray(np.load(rows, mmap_mode="r")[:int(n)]))


def take(out, rows, numbers):
    np.save(out, np.load(rows, mmap_mode="r")[np.load(numbers)])


def moved(out, rows, seed):
    rows = np.load(rows)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    away = unit(normal(generator(10 + int(seed)), *rows.shape)) * length
    before = unit(rows + np.float32(0.1) * away) * length
    np.save(out, before.astype(rows.dtype))


def losses(folder, batch, cols, negatives, pairs, prototypes, drawn):
    folder, random = Path(folder), generator(5)
    batch, cols, pairs, prototypes = int(batch), int(cols), int(pairs), int(prototypes)
    save = lambda name, values: np.save(folder / f"{name}.npy", values)
    query = unit(normal(random, batch, cols))
    save("query", query)
    save("positive", unit(query + np.float32(0.5) * unit(normal(random, batch, cols))))
    save("negatives", unit(normal(random, int(negatives), cols)))
    first = unit(normal(random, pairs, cols))
    save("first", first)
    save("second", unit(first + np.float32(0.5) * unit(normal(random, pairs, cols))))
    # No two rows of the batch share a prototype: there the published program counts it twice, and ours does not.
    save("sample", np.arange(batch, dtype=np.int64).reshape(1, -1) * 3)
    save("num_negatives", np.array([[int(drawn)]], np.int64))
    for m in range(3):
        save(f"prototypes_{m}", unit(normal(random, prototypes, cols)))
        save(f"temperatures_{m}", random.uniform(0.1, 0.3, (1, prototypes)).astype(np.float32))
        cluster = np.concatenate([random.permutation(prototypes) for _ in range(4)])
        save(f"assignment_{m}", cluster.astype(np.int32).reshape(1, -1))


def shape(rows):
    array = np.load(rows, mmap_mode="r")
    print(json.dumps({"shape": array.shape, "type": str(array.dtype)}))


def inertia(rows, centroids):
    """The nearest centroid by a product in float; its distance, and the sum of all, in double."""
    rows, centroids = np.load(rows, mmap_mode="r"), np.load(centroids)
    centre = centroids.mean(axis=0)
    centroids = centroids - centre
    half_norms = (centroids.astype(np.float64) ** 2).sum(axis=1).astype(np.float32) / 2
    total = 0.0
    for start in range(0, len(rows), 4096):
        part = rows[start:start + 4096] - centre
        nearest = (part @ centroids.T - half_norms).argmax(axis=1)
        total += float(((part.astype(np.float64) - centroids[nearest]) ** 2).sum())
    print(json.dumps({"inertia": total}))


def difference(a, b):
    a, b = np.load(a).astype(np.float64), np.load(b).astype(np.float64)
    print(json.dumps({"difference": float(np.abs(a - b).max() / np.abs(b).max())}))


if __name__ == "__main__":
    COMMANDS = (clustered, gaussian, low_rank, pixels, head, take, moved, losses, shape, inertia, difference)
    {command.__name__: command for command in COMMANDS}[sys.argv[1]](*sys.argv[2:])
