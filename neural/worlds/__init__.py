"""Tasks that need no download: characters and their Unicode names, handwritten digits, classes from the theory's process.

`glyphs`, `digits` and `concepts` make a task each; the modules named ``glyph_...`` are what characters are made of.
"""
