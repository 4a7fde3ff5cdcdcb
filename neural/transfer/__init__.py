"""Do layers that learned language see? Pretrained transformer layers behind new patch embeddings (the paper's Figure 7).

`stack` takes the layers out of BERT or GPT-2, `initialisations` makes the controls, `model` puts patches in front and a
head behind, `masked_language` pretrains a small BERT on descriptions of characters, `training` trains any of these.
"""
