"""Solving batches of trials: environments behind one face, and the solvers."""
