"""One linear head shared by all modalities (the paper's supervised model), trained one by one or many at a time.

`model` says what is trained, `runs` what a training is made of, `training` trains one, plainly; `sweep` trains
thousands, with `batched`, `group`, `optimiser` and `capture` as its parts.
"""
