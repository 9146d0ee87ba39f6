"""Variant effects: predictions for both alleles, scores, null distributions, haplotypes, explanations."""
