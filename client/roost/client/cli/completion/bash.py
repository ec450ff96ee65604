"""The script for bash, from 3.2 on."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from roost.client.cli.completion.tree import CommandRow

_SCRIPT = r"""
# Printed by `roost completion bash`. It starts no process and no daemon: values are in files that the daemon replaces.

# What may follow a command: names of commands and options, "OPTION<tab>COMPLETION" of options with a value, and one
# completion for each argument. A completion is words: @NAME (values in that file), / (files), // (folders), or a value.
_roost_row() {
    commands='' options='' values='' positions=''
    case $1 in
ROWS
    esac
}

# Read the values of one file into `lines`; a file that was cut has no last line with their number.
_roost_read() {
    local folder=${ROOST_HOME-} count line
    lines=()
    if [[ ! $folder ]]; then
        case ${OSTYPE-},${XDG_DATA_HOME-} in
        darwin*) folder=${HOME-}/Library/Application\ Support/roost ;;
        *,/*) folder=$XDG_DATA_HOME/roost ;;
        *) folder=${HOME-}/.local/share/roost ;;
        esac
    fi
    folder=$folder/completions/FORMAT/$1
    [[ -f $folder && -r $folder ]] || return 1
    if ((BASH_VERSINFO[0] >= 4)); then
        mapfile -t -n 5000 lines <"$folder"
    else
        while IFS= read -r line; do lines+=("$line"); done <"$folder"
    fi
    count=$((${#lines[@]} - 1))
    if ((count < 0)) || [[ ${lines[count]} != "end $count" ]]; then
        lines=()
        return 1
    fi
    unset "lines[$count]"
}

# Offer the values of one file that can be typed unquoted.
_roost_offer_file() {
    local lines line
    _roost_read "$1"
    for line in "${lines[@]}"; do
        [[ $line == "$current"* ]] || continue
        line=${line%%$'\t'*}
        case $line in
        '' | *[!A-Za-z0-9_.:@+=/-]* | [!A-Za-z0-9_]*) ;;
        *) COMPREPLY+=("$lead$line") ;;
        esac
    done
}

# Offer what follows the name of an environment: its labels and versions, which are in the line of the name.
_roost_offer_references() {
    local lines line name=${current%%[:@]*} mark
    _roost_read environments
    for line in "${lines[@]}"; do
        [[ $line == "$name"$'\t'* ]] || continue
        for mark in ${line#*$'\t'}; do
            case $mark in
            [:@]*[!A-Za-z0-9_.-]*) ;;
            [:@]*) _roost_offer "$name$mark" ;;
            esac
        done
    done
}

_roost_offer() {
    [[ $1 != "$current"* ]] || COMPREPLY+=("$lead$1")
}

# Set `kind` to the completion of the argument number $1.
_roost_position() {
    local rest=$positions number=$1
    kind=
    while [[ $rest ]]; do
        kind=${rest%%$'\n'*}
        case $kind in \**) kind=${kind#\*} && return ;; esac
        ((number > 0)) || return 0
        number=$((number - 1)) rest=${rest#*$'\n'}
    done
    kind=
}

# Called in this way, a failure in it neither ends a shell with `set -e` nor runs a trap for ERR.
_roost_complete() {
    _roost_complete_word || return 0
}

_roost_complete_word() {
    local path='' option='' ended='' kind='' base='' lead='' current='' word='' position=0 index
    local commands options values positions rest=${COMP_LINE:0:COMP_POINT} words
    words=()
    COMPREPLY=()
    # bash cuts words at ":", "=" and "@": put together what no space separates.
    for ((index = 0; index <= COMP_CWORD; index++)); do
        case $rest in
        [[:space:]]*) rest=${rest#"${rest%%[![:space:]]*}"} words+=('') ;;
        *) ((index)) || words+=('') ;;
        esac
        word=${COMP_WORDS[index]}
        case $rest in "$word"*) ;; *) word=$rest ;; esac
        words[${#words[@]} - 1]+=$word
        rest=${rest#"$word"}
    done
    current=${words[${#words[@]} - 1]}
    _roost_row ''
    for ((index = 1; index < ${#words[@]} - 1; index++)); do
        word=${words[index]}
        if [[ $option ]]; then
            [[ $option != -C ]] || base=${word%/}/
            option=
        elif [[ ! $ended && $word == -- ]]; then
            ended=1
        elif [[ ! $ended && $word == -* ]]; then
            case $values in *$'\n'"$word"$'\t'*) option=$word ;; esac
        elif [[ $commands ]]; then
            path=${path:+$path }$word
            _roost_row "$path"
        else
            _roost_position $position
            [[ $kind != TRAILING ]] || break
            position=$((position + 1))
        fi
    done
    if [[ ! $option && ! $ended && $current == --*=* ]]; then
        option=${current%%=*} lead=${current%%=*}=
        current=${current#*=}
    fi
    if [[ $option ]]; then
        case $values in *$'\n'"$option"$'\t'*)
            kind=${values#*$'\n'"$option"$'\t'}
            kind=${kind%%$'\n'*}
            ;;
        esac
    elif [[ $kind != TRAILING && ! $ended && $current == -* ]]; then
        kind=$options
    elif [[ $kind != TRAILING && $commands ]]; then
        kind=$commands
    elif [[ $kind != TRAILING ]]; then
        _roost_position $position
    fi
    _roost_offer_kind
}

_roost_offer_kind() {
    local IFS=$' \t\n' files='' found breaks=''
    for word in $kind; do
        case $word in
        TRAILING | / | //) files=$word ;;
        @versions)
            found=${#COMPREPLY[@]}
            case $current in
            *[:@]*) _roost_offer_references ;;
            *)
                _roost_offer_file environments
                # A name may go on, with a version or a label.
                ((${#COMPREPLY[@]} == found)) || compopt -o nospace 2>/dev/null
                if ((${#COMPREPLY[@]} == found + 1)) && [[ ${COMPREPLY[found]} == "$lead$current" ]]; then
                    _roost_offer_references
                fi
                ;;
            esac
            ;;
        @*) _roost_offer_file "${word#@}" && compopt -o nosort 2>/dev/null ;;
        *) _roost_offer "$word" ;;
        esac
    done
    if [[ $files && ${#COMPREPLY[@]} -eq 0 ]]; then
        _roost_offer_paths "$files"
        return
    fi
    # bash replaces what follows the last of these in the word.
    for word in = : @; do
        case $COMP_WORDBREAKS in *$word*) breaks+=$word ;; esac
    done
    word=$lead$current
    if [[ $breaks && $word == *[$breaks]* ]]; then
        word=${word%"${word##*[$breaks]}"}
        word=${word%@} # which readline leaves in the word, as the beginning of a host
        COMPREPLY=("${COMPREPLY[@]#"$word"}")
    fi
}

# Offer files, or folders only. bash does so by itself, but for those that are relative to the folder of -C.
_roost_offer_paths() {
    local found former=:
    case $base in '~/'*) base=${HOME-}/${base#'~/'} ;; esac
    if [[ ! $base || $current == [/~]* ]]; then
        case $1 in
        //) compopt -o dirnames 2>/dev/null ;;
        *) compopt -o default 2>/dev/null ;;
        esac
        return
    fi
    compopt -o nospace -o filenames 2>/dev/null
    # Patterns have their ordinary meaning here, and afterwards that of the shell again.
    case $- in *f*) former='set -f' ;; esac
    set +f
    if shopt -q failglob; then former+='; shopt -s failglob'; fi
    shopt -u failglob
    for found in "$base$current"*; do
        if [[ -d $found ]]; then
            COMPREPLY+=("${found#"$base"}/")
        elif [[ $1 != // && -e $found ]]; then
            COMPREPLY+=("${found#"$base"}")
        fi
    done
    eval "$former"
}

if ((BASH_VERSINFO[0] >= 4)); then
    complete -F _roost_complete roost
else
    complete -o default -F _roost_complete roost
fi
"""


def format_bash(rows: Sequence[CommandRow]) -> str:
    """Return the script for the commands in ``rows``."""
    return fill_script(_SCRIPT, "\n".join(map(_format_row, rows)))


def fill_script(script: str, rows: str) -> str:
    """Return ``script`` with the words in capitals replaced."""
    return script.strip().replace("TRAILING", "...").replace("FORMAT", "1").replace("ROWS", rows)


def _format_row(row: CommandRow) -> str:
    names = "\n".join(name for name, completion, _ in row.options if not completion.startswith("!"))
    values = [(name, completion.removeprefix("!")) for name, completion, _ in row.options if completion != "-"]
    parts = {
        "commands": "\n".join(name for name, _ in row.commands),
        "options": names,
        "values": "\n" + "".join(f"{name}\t{completion}\n" for name, completion in values),
        "positions": "".join(f"{completion}\n" for completion in row.positions),
    }
    texts = "".join(f"        {name}={quote(text)}\n" for name, text in parts.items() if text.strip())
    return f"    {quote(row.path)})\n{texts}        ;;"
