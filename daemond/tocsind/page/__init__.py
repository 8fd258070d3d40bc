"""What the page at `/` shows. `tocsind.http` serves it; this package makes the data, and changes nothing.

    overview     the status, as much of it as the page shows, and the last hour; made once for all who watch
    last_hour    an observer: signals and outcomes, minute by minute
    signals      recent signals, newest first, and a search through them
    timed        silences and expectations
    document     page.html, and the policy that lets a browser run its own script and nothing else

The story of one signal is `observe.story`.
"""
