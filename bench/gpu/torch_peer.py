#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The same work in PyTorch on the same device: what bench/gpu/gpu.cpp measures, by the same names.

    torch_peer.py [--quick] [--json FILE]

K-means' assignment is a chunked matrix product and argmin; InfoNCE, NT-Xent, ProtoNCE and a step of both are cross entropies with autograd, eager and
compiled; each with and without TF32. The prototypes of a batch are chosen before the time is taken. Where flash_kmeans can be imported, one Lloyd
iteration of it, which is approximate and in half precision. Times are medians by events, in milliseconds.
"""
import argparse
import json
import statistics

import torch


def measure(work, repeats):
    times = []
    for i in range(-2, repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        end.synchronize()
        if i >= 0:
            times.append(begin.elapsed_time(end))
    return statistics.median(times)


def unit_rows(rows, cols):
    return torch.nn.functional.normalize(torch.rand(rows, cols, device="cuda") * 2 - 1)


def nearest(features, centroids):
    half = 0.5 * centroids.square().sum(1)
    labels = torch.empty(len(features), dtype=torch.int64, device="cuda")
    chunk = max(1, (1 << 28) // len(centroids))
    for first in range(0, len(features), chunk):
        part = features[first : first + chunk]
        torch.argmin(torch.addmm(half, part, centroids.T, alpha=-1), dim=1, out=labels[first : first + chunk])
    return labels


def info_nce(query, positive, negatives):
    query = query.detach().requires_grad_()
    logits = torch.cat([(query * positive).sum(1, keepdim=True), query @ negatives.T], dim=1) / 0.2
    target = torch.zeros(len(query), dtype=torch.int64, device="cuda")
    torch.nn.functional.cross_entropy(logits, target).backward()
    return query.grad


def nt_xent(first, second):
    views = torch.cat([first, second]).detach().requires_grad_()
    logits = (views @ views.T / 0.2).fill_diagonal_(-torch.inf)
    target = torch.arange(len(views), device="cuda").roll(len(first))
    torch.nn.functional.cross_entropy(logits, target).backward()
    return views.grad


def proto_nce(query, chosen, temperatures, targets):
    query = query.detach().requires_grad_()
    loss = 0
    for prototypes, temperature, target in zip(chosen, temperatures, targets):
        loss = loss + torch.nn.functional.cross_entropy(query @ prototypes.T / temperature, target)
    (loss / len(chosen)).backward()
    return query.grad


def m_step(query, positive, negatives, chosen, temperatures, targets):
    query = query.detach().requires_grad_()
    logits = torch.cat([(query * positive).sum(1, keepdim=True), query @ negatives.T], dim=1) / 0.2
    target = torch.zeros(len(query), dtype=torch.int64, device="cuda")
    loss = torch.nn.functional.cross_entropy(logits, target)
    accuracies = [(logits.argmax(1) == target).float().mean()]
    for prototypes, temperature, target in zip(chosen, temperatures, targets):
        logits = query @ prototypes.T / temperature
        loss = loss + torch.nn.functional.cross_entropy(logits, target) / len(chosen)
        accuracies.append((logits.argmax(1) == target).float().mean())
    loss.backward()
    return query.grad, accuracies


def flash_kmeans():
    try:
        from flash_kmeans import batch_kmeans_Euclid
    except Exception as error:
        print(f"flash_kmeans: left out: {type(error).__name__}")
        return None
    return batch_kmeans_Euclid


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    repeats = 3 if options.quick else 20
    json_file = open(options.json, "w", encoding="utf-8") if options.json else None  # each line at once: a fault loses no other

    def report(name, milliseconds):
        print(f"{name:72s} {milliseconds:10.3f} ms", flush=True)
        if json_file is not None:
            json_file.write(json.dumps({"name": name, "milliseconds": milliseconds}) + "\n")
            json_file.flush()

    def both_ways(name, work, *arguments):
        for how, made in (("eager", work), ("compiled", torch.compile(work))):
            what = f"{name}, PyTorch {kind} {how}"
            try:
                report(what, measure(lambda: made(*arguments), repeats))
            except Exception as error:  # a compiler that is not there is no reason to lose the rest
                print(f"{what}: left out: {type(error).__name__}")

    print("PyTorch", torch.__version__, torch.cuda.get_device_name(0))
    many = 20000 if options.quick else 1281167
    sizes = [(many, 1000)] if options.quick else [(many, clusters) for clusters in (1000, 25000, 50000, 100000)]
    sizes += [] if options.quick else [(10000, 1000), (256, 100000)]
    queue = 4096 if options.quick else 65536
    for tf32 in (False, True):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        kind = "TF32" if tf32 else "fp32"
        features = unit_rows(many, 128)
        for rows, clusters in sizes:
            centroids = unit_rows(clusters, 128)
            name = f"nearest_row N={rows} C=128 K={clusters}"
            work = features[:rows]
            report(f"{name}, PyTorch {kind} eager", measure(lambda: nearest(work, centroids), min(repeats, 5)))
        lloyd = None if tf32 else flash_kmeans()
        if lloyd is not None:
            for rows, clusters in sizes:
                if rows < clusters:
                    continue
                half = features[:rows].to(torch.bfloat16)[None]
                start = half[:, :clusters].clone()
                report(
                    f"Lloyd iteration N={rows} C=128 K={clusters}, flash_kmeans bf16",
                    measure(lambda: lloyd(half, clusters, max_iters=1, init_centroids=start.clone()), min(repeats, 5)),
                )
                del half
        del features
        negatives = unit_rows(queue, 128)
        for batch in (256,) if options.quick else (256, 1024, 4096):
            query, positive = unit_rows(batch, 128), unit_rows(batch, 128)
            both_ways(f"info_nce and its gradient, B={batch} R={queue} C=128", info_nce, query, positive, negatives)
        for batch in (256,) if options.quick else (256, 4096):
            both_ways(f"nt_xent and its gradients, B={batch} C=128", nt_xent, unit_rows(batch, 128), unit_rows(batch, 128))
        negatives_drawn = 1024 if options.quick else 16384
        query = unit_rows(256, 128)
        # 256 own prototypes and as many others as are drawn, from prototypes that are there once.
        chosen = [unit_rows(256 + negatives_drawn, 128) for _ in range(3)]
        temperatures = [torch.full((256 + negatives_drawn,), 0.2, device="cuda") for _ in range(3)]
        targets = [torch.arange(256, device="cuda") for _ in range(3)]
        shape = f"B=256 R={negatives_drawn} C=128"
        both_ways(f"proto_nce and its gradient, three levels, {shape}", proto_nce, query, chosen, temperatures, targets)
        both_ways(
            f"m_step with a queue and three levels, {shape}",
            m_step, query, unit_rows(256, 128), unit_rows(negatives_drawn, 128), chosen, temperatures, targets,
        )


if __name__ == "__main__":
    main()
