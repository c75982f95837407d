"""Training: one shared loop; pretraining, supervised fine-tuning, reinforcement learning."""
