"""
NAS profiles: what a kind of client says and understands, as data and pure functions (DIGEST R-NAS-05).

`profile` describes one, `access` and `accounting` read requests by it, `answers` writes what its client
takes; the others are the profiles that are shipped.
"""
