"""The pizzeria on a Dask cluster, and the token that goes there. Start reading in `source`, then `switchboard`."""

from pizzeria.cluster.local import OwnCluster
from pizzeria.cluster.shop import ClusterPizzeria
from pizzeria.cluster.source import ClusterTokenSource

__all__ = ["ClusterPizzeria", "ClusterTokenSource", "OwnCluster"]
