"""PreMixNet and PostMixNet (Huang et al. 2021): the networks, what they are shown, their ranker."""
