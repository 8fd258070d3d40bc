"""`tocsin top`: a live view of the daemon.

    model         the lanes of a status, and rates from two statuses
    screens       which screen is shown, and what a key does; a state machine without input or output
    source        requests the data of a screen from the daemon, and keeps the last answer while the daemon is away
    terminal      keys, window sizes, and the terminal's state, which it restores in any case
    drawing       draws a screen with rich
    full_screen   the loop of source, drawing and terminal
    lines         the same data as plain lines, without rich or a terminal, or for a program

There is one thread with one wait: for a key, a new window size, or the next update. A daemon that does not answer delays a key by at most
PATIENCE; the last picture stays, with its age and the error above it.
"""
