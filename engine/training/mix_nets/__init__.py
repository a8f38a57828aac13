"""How PreMixNet and PostMixNet are trained."""
