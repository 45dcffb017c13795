"""The exercises' checks: a module a lesson, a function an exercise. Each returns a `Verdict`, and never raises."""
