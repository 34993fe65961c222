"""The checks: one module a concern, found by being here.

A check module has a docstring (its ``vlm-doctor explain`` page), ``CODES`` (the codes of the
findings that it may make) and ``check(facts)``, a pure function that yields findings and what it
could not look at. Its fix is the module of the same name in ``fixes``.
"""
