"""What is kept on disk: written whole or not at all, checked when it is read, set aside when it is damaged.

`safe_file` is the one place for header, checksum and setting aside; `array_cache` keeps arrays that take long to
compute, `checkpoints` what a killed training goes on from.
"""
