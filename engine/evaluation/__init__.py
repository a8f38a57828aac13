"""The protocols that compare models: every model scores the same items in the same way.

A model is a :class:`~engine.models.ranker.Ranker`; nothing here knows which. Protocols: retrieval
of a stem by the rest of its song (Riou et al. 2024, "Stem-JEPA"), K-way matching of short windows
(Ciranni et al. 2025, "COCOLA"), the sanity test of Huang et al. (AAAI 2021) with harder negatives,
and the score against a shift in time.
"""
