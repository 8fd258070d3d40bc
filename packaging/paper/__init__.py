"""What is printed about tocsin: manual pages and completions, made from the very parsers and files that they describe.

    commands     what the two parsers say of themselves, as data
    pages        four manuals in Markdown: tocsin(1) and tocsind(8) from `commands`, alerts.toml(5) from the default configuration, which
                 is its own documentation, tocsin-protocol(7) from docs/reference/protocol.md
    roff         Markdown to a page for man
    completions  bash, zsh and fish from `commands`

`make paper` writes them below build/paper; nothing of it is kept under version control, so none of it can be out of date. Only
docs/reference/commands.md is, for those who read on the web, and a test compares it.
"""
