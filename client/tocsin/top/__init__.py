"""`tocsin top`: the daemon as it is now, and now, and now.

    model       what a status says of each lane, and what two of them say together: rates
    screens     which screen a person looks at, and what a key does there; decides, and neither asks nor draws
    source      asks the daemon for what the screen wants, and keeps the last answer while the daemon is away
    terminal    keys, resizes, and a terminal that is put back as it was, however we leave
    painting    draws a screen with rich
    lines       says the same in plain lines, where rich or a real terminal is missing, or a program reads

One thread, one wait: for a key, a new window size, or the time of the next question. A daemon that does not answer holds a key up for
at most PATIENCE; its last picture stays, with since when and why it is old above it.
"""
