"""`orch.map` over the workers of a Dask cluster; all of it on this machine."""
