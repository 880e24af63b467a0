#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One loss with its gradients in PyTorch, as published; prints one line of JSON like losses_peer.cpp.

    losses_torch.py info_nce|nt_xent|proto_nce FOLDER RUNS THREADS

Reads FOLDER/<input>.npy, writes FOLDER/<output>.torch.npy. proto_nce takes the negatives that our program drew, from
FOLDER/columns_<m>.ours.npy: the draw in Python, which takes longer than the loss, is not in its time; ours is.
"""
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from memory import PeakGrowth


def info_nce(read):
    """MoCo: logits against the positive key and the queue, cross entropy with class 0."""
    query, positive, queue = read("query"), read("positive"), read("negatives").t().contiguous()
    query.requires_grad_()
    labels = torch.zeros(len(query), dtype=torch.long)

    def run():
        of_positive = torch.einsum("nc,nc->n", query, positive).unsqueeze(-1)
        of_queue = torch.einsum("nc,ck->nk", query, queue)
        return cross_entropy(torch.cat([of_positive, of_queue], dim=1) / 0.2, labels)

    return run, {"grad_query": query}


def nt_xent(read):
    """SimCLR: every row against the other view and all other rows of both."""
    first, second = read("first").requires_grad_(), read("second").requires_grad_()
    batch = len(first)
    labels = torch.cat([torch.arange(batch, 2 * batch), torch.arange(batch)])
    itself = torch.eye(2 * batch, dtype=torch.bool)

    def run():
        rows = torch.cat([first, second])
        return cross_entropy((rows @ rows.t() / 0.5).masked_fill(itself, float("-inf")), labels)

    return run, {"grad_first": first, "grad_second": second}


def proto_nce(read):
    """PCL: the prototypes of the batch and the drawn ones, each logit over its concentration, mean over the levels."""
    query, sample = read("query").requires_grad_(), read("sample").flatten()
    labels = torch.arange(len(query))
    levels = []
    for m in range(3):
        of_batch = read(f"assignment_{m}").flatten().long()[sample]
        drawn = read(f"columns_{m}.ours").flatten()[len(query):]
        levels.append((read(f"prototypes_{m}"), read(f"temperatures_{m}").flatten(), torch.cat([of_batch, drawn])))

    def run():
        loss = 0
        for prototypes, concentration, columns in levels:
            logits = torch.mm(query, prototypes[columns].t())
            loss = loss + cross_entropy(logits / concentration[columns], labels)
        return loss / len(levels)

    return run, {"grad_query": query}


def main(loss, folder, runs, threads):
    torch.set_num_threads(int(threads))
    folder = Path(folder)
    read = lambda name: torch.from_numpy(np.load(folder / f"{name}.npy"))
    compute, inputs = {"info_nce": info_nce, "nt_xent": nt_xent, "proto_nce": proto_nce}[loss](read)

    def once():
        for array in inputs.values():
            array.grad = None
        value = compute()
        value.backward()
        return float(value)

    growth = PeakGrowth()
    value = once()
    seconds = []
    for _ in range(int(runs)):
        start = time.perf_counter()
        value = once()
        seconds.append(time.perf_counter() - start)
    grown = growth.bytes()
    for name, array in inputs.items():
        np.save(folder / f"{name}.torch.npy", array.grad.numpy())
    print(json.dumps({"value": value, "seconds": seconds, "peak_growth_bytes": grown}))


if __name__ == "__main__":
    main(*sys.argv[1:])
