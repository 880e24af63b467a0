# SPDX-License-Identifier: MIT
"""What is measured, and how many times faster than which peer it ought to be."""
from dataclasses import dataclass, field

# Which entries of a case a target is compared with.
EXACT = ("faiss", "scikit-learn")
ANY = EXACT + ("superkmeans",)


@dataclass(frozen=True)
class KmeansCase:
    name: str
    title: str
    rows: str  # a data set of DATA_SETS
    clusters: int
    targets: tuple = ()  # (what is said, names of peers of which the best counts, at least so many times faster)
    tolerance: float = 1e-5  # of the final inertia, relative


@dataclass(frozen=True)
class LossCase:
    name: str
    title: str
    loss: str
    target: float
    most_mebibytes: float = field(default=float("inf"))


DATA_SETS = {  # name -> rows and columns; those of the embeddings are their file's
    "clustered": (60000, 128),
    "gaussian": (100000, 64),
    "pixels": (60000, 784),
    "low_rank": (1281167, 128),
    "embeddings": None,
}
QUICK_DATA_SETS = {
    "clustered": (4000, 64),
    "gaussian": (4000, 32),
    "pixels": (2000, 784),
    "low_rank": (8000, 64),
    "embeddings": None,
}

KMEANS = (
    KmeansCase("embeddings_1000", "learned embeddings, K=1000", "embeddings", 1000,
               (("faiss", ("faiss",), 20), ("scikit-learn", ("scikit-learn",), 15),
                ("SuperKMeans", ("superkmeans",), 10))),
    KmeansCase("embeddings_5000", "learned embeddings, K=5000", "embeddings", 5000,
               (("faiss", ("faiss",), 30), ("scikit-learn", ("scikit-learn",), 15),
                ("SuperKMeans", ("superkmeans",), 15))),
    KmeansCase("clustered_1000", "clustered, full rank, K=1000", "clustered", 1000, (("best exact peer", EXACT, 8),)),
    KmeansCase("clustered_5000", "clustered, full rank, K=5000", "clustered", 5000, (("best exact peer", EXACT, 20),)),
    KmeansCase("pixels_100", "Fashion-MNIST pixels, K=100", "pixels", 100, (("best exact peer", EXACT, 5),), 2e-4),
    KmeansCase("pixels_1000", "Fashion-MNIST pixels, K=1000", "pixels", 1000, (("best exact peer", EXACT, 18),), 2e-4),
    KmeansCase("gaussian_256", "Gaussian without structure, K=256", "gaussian", 256, (("best peer", ANY, 2.5),)),
)
# The curves: cases as above, few runs, no targets.
CURVE_CLUSTERS = (100, 300)  # besides those of the cases
CURVE_ROWS = (7500, 15000, 30000)  # of the clustered set, K=1000

LOSSES = (
    LossCase("info_nce", "InfoNCE B=256 R=65536 C=128, gradient to the query", "info_nce", 6.5, 5),
    LossCase("nt_xent", "NT-Xent B=4096 C=128, gradients to both", "nt_xent", 6, 16),
    LossCase("proto_nce", "ProtoNCE K=25000 R=16384 B=256 C=128, three levels", "proto_nce", 4),
)
LOSS_SIZES = {"B": 256, "C": 128, "R": 65536, "pairs": 4096, "K": 25000, "drawn": 16384}
QUICK_LOSS_SIZES = {"B": 32, "C": 32, "R": 1024, "pairs": 128, "K": 200, "drawn": 64}

KMEANS_PEERS = ("faiss", "scikit-learn lloyd", "scikit-learn elkan", "superkmeans")
PACKAGES = {"faiss": "faiss", "scikit-learn": "sklearn", "superkmeans": "superkmeans", "torch": "torch"}


def package_of(peer):
    """'scikit-learn elkan' -> 'scikit-learn'."""
    return peer.split(" ")[0]


def quick_clusters(clusters):
    return max(8, clusters // 50)
