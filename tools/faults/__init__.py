"""Faults on purpose (``make faults``): a real fix of a real environment, hurt in every way.

``killing`` kills it at hundreds of instants, ``faulty`` takes away what it needs. Afterwards the
environment has to be as it was before, or as a whole fix leaves it. Both write what happened into
``tests/faults/``, which the tests hold up; the tests repeat some of it themselves.
"""
