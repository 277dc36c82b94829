"""
What the nodes tell each other: a hint to look, a session to end, a guess that was wrong.

Nothing that is said here is needed for anything to be right: the store is the truth, every node looks at it
about once a second, and a message only makes it look earlier or lets it reach a switch that another node
cannot.  So messages may be lost, doubled and reordered, every queue is bounded, and a link that is gone is a
figure and some latency (DESIGN 5).
"""
