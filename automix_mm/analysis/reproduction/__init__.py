"""The paper's tables and figures: what to train, how far it is, what came out."""
