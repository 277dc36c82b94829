"""
Several processes on one machine: a parent that serves nobody and workers that share its sockets (DESIGN 6).

The parent owns what there can be only one of: the control socket, the metrics, the word with the supervisor.  It
starts the workers, starts them again when they die, sums their figures, and passes on drain and reload.
"""
