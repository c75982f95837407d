"""Looking inside a model: a walk through attention, attention maps, the logit lens."""
