"""Manual pages and completions, generated from the parsers and files that they describe.

    commands     the options, arguments and help texts of the two parsers, as data
    pages        four manuals in Markdown: tocsin(1) and tocsind(8) from `commands`, alerts.toml(5) from the default configuration, which
                 is its own documentation, tocsin-protocol(7) from docs/reference/protocol.md
    roff         converts Markdown to a page for man
    completions  bash, zsh and fish from `commands`

`make paper` writes them below build/paper. They are not under version control, so they cannot be out of date. Only
docs/reference/commands.md is, for readers on the web, and a test compares it with the parsers.
"""
