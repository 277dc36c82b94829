"""
A second pricer, deliberately naive, and generators of odd tariffs to compare it on.
"""
