"""Features of frozen encoders, kept on disk: encoded once, found again whatever list, order or folder asks.

A cache is a folder with one folder per encoder, setting and kind of feature; in it safetensors shards and a
``manifest.json`` that says what made them. Modules are imported by name: `neural.features.cache` fills and reads it
(`features`, `token_features`), `neural.features.maintenance` looks after it (``python -m neural features``).
"""
