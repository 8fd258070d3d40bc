"""Completions for three shells. Words are fixed, the names of destinations come from the daemon, and the shell completes files itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .commands import Option, Program, Verb

# in `status --json` a destination has a name followed by its kind; its limits have a name and no kind
_ASK = """tocsin status --json --timeout 1s 2>/dev/null | grep -o '"name": "[^"]*", "kind"' | cut -d'"' -f4"""


def scripts(programs: Sequence[Program]) -> dict[str, str]:
    """Path and content. Each shell looks for its completions under these paths."""
    shells = {"bash/{}": _bash, "zsh/_{}": _zsh, "fish/{}.fish": _fish}
    return {
        path.format(each.name): "\n".join(lines(each)) + "\n" for path, lines in shells.items() for each in programs
    }


def _bash(program: Program) -> Iterator[str]:
    verbs = " ".join(verb.name for verb in program.verbs)
    yield f"# bash completion for {program.name} {program.version}"
    yield f"_{program.name}() {{"
    yield "    local word verb='' current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}"
    yield '    for word in "${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do'
    yield f"        case $word in {verbs.replace(' ', '|')}) verb=$word; break;; esac"
    yield "    done"
    yield '    case "$verb $before" in'
    for verb in _all(program):
        yield from _bash_values(verb)
    yield "    esac"
    yield '    case "$verb" in'
    for verb in _all(program):
        words = " ".join(_flags(verb)) if verb.name else f"{verbs} {' '.join(_flags(verb))}"
        yield f"        '{verb.name}') COMPREPLY=($(compgen -W '{words}' -- \"$current\"));;"
    yield from ("    esac", "}", f"complete -o default -F _{program.name} {program.name}")


def _bash_values(verb: Verb) -> Iterator[str]:
    for option in verb.options:
        patterns = "|".join(f"'{verb.name} {name}'" for name in option.names or (verb.name,))
        if option.choices:
            yield f"        {patterns}) COMPREPLY=($(compgen -W '{' '.join(option.choices)}' -- \"$current\")); return;;"
        elif option.is_destination:
            yield f'        {patterns}) COMPREPLY=($(compgen -W "$({_ASK})" -- "$current")); return;;'
        elif option.value and option.names:
            yield f"        {patterns}) COMPREPLY=(); return;;  # -o default completes files"


def _all(program: Program) -> list[Verb]:
    """The verbs, after a verb without a name that has the program's own options."""
    return [Verb("", program.about, program.options), *program.verbs]


def _flags(verb: Verb) -> list[str]:
    return [name for option in verb.options for name in option.names if name.startswith("--")]


def _zsh(program: Program) -> Iterator[str]:
    yield f"#compdef {program.name}"
    yield f'_{program.name}_destinations() {{ local -a found; found=(${{(f)"$({_ASK})"}}); compadd -a found }}'
    yield "local context state line"
    yield "local -a verbs"
    yield f"verbs=({' '.join(_quoted(f'{verb.name}:{verb.about}') for verb in program.verbs)})"
    own = " ".join(_zsh_spec(program, option) for option in program.options)
    yield f"_arguments -C {own} '1: :->verb' '*:: :->rest'"
    yield "case $state in"
    yield "    verb) _describe -t verbs verb verbs;;"
    yield "    rest) case $words[1] in"
    for verb in program.verbs:
        yield f"        {verb.name}) _arguments {' '.join(_zsh_spec(program, option) for option in verb.options)};;"
    yield from ("    esac;;", "esac")


def _zsh_spec(program: Program, option: Option) -> str:
    action = ""
    if option.choices:
        action = f"({' '.join(option.choices)})"
    elif option.is_destination:
        action = f"_{program.name}_destinations"
    elif option.is_file:
        action = "_files"
    value = f":{option.value}:{action}".replace("|", " ") if option.value else ""
    if not option.names:
        return _quoted(f"::{option.value}:{action}")
    about = option.about.replace("[", "(").replace("]", ")").replace(":", " -")
    return " ".join(_quoted(f"*{name}[{about}]{value}") for name in option.names)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fish(program: Program) -> Iterator[str]:
    head = f"complete -c {program.name}"
    yield f"# fish completion for {program.name} {program.version}"
    for option in program.options:
        yield f"{head} -n __fish_use_subcommand {_fish_option(option)}"
    for verb in program.verbs:
        yield f"{head} -n __fish_use_subcommand -f -a {verb.name} -d {_fish_quoted(verb.about)}"
        seen = f"{head} -n '__fish_seen_subcommand_from {verb.name}'"
        yield from (f"{seen} {_fish_option(option)}" for option in verb.options)


def _fish_option(option: Option) -> str:
    names = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names]
    words = f"-a '({_ASK.replace(chr(39), chr(92) + chr(39))})'" if option.is_destination else ""
    if option.choices:
        words = f"-a '{' '.join(option.choices)}'"
    needs = "-r" if option.value and option.names else ""
    files = "-F" if option.is_file else "-f"
    return " ".join(part for part in (*names, needs, files, words, f"-d {_fish_quoted(option.about)}") if part)


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
