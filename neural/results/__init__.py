"""Results: finished cells that survive a kill, one tidy table of them, and what is asked of it.

`cells` keeps what has been computed, `table` is the form in which it travels and the only place where intervals of
comparisons are made, `intervals` says what an interval is, `figures` draws the table, `text` writes it, `files` and
`provenance` say how it is kept and where it comes from; `parallel` computes several portions at a time.
"""
