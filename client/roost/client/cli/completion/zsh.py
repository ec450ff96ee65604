"""The script for zsh."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from roost.client.cli.completion.bash import fill_script
from roost.client.cli.completion.tree import CommandRow

_SCRIPT = r"""
#compdef roost
# Printed by `roost completion zsh`: source it, or save it as _roost in a folder of fpath. It starts no process and no
# daemon: values are in files that the daemon replaces.

# What may follow a command, a line each: "COMMAND<tab>HELP", "OPTION<tab>COMPLETION<tab>HELP", and a completion for
# each argument. A completion is words: @NAME (values in that file), / (files), // (folders), or a value; - if an option
# has no value; !… if it is not offered.
_roost_row() {
    commands='' options='' positions=''
    case $1 in
ROWS
    esac
}

# Read the values of one file into `lines`; a file that was cut has no last line with their number.
_roost_read() {
    local folder=${ROOST_HOME-}
    lines=()
    if [[ -z $folder ]]; then
        case ${OSTYPE-},${XDG_DATA_HOME-} in
        (darwin*) folder="${HOME-}/Library/Application Support/roost" ;;
        (*,/*) folder=$XDG_DATA_HOME/roost ;;
        (*) folder=${HOME-}/.local/share/roost ;;
        esac
    fi
    folder=$folder/completions/FORMAT/$1
    [[ -f $folder && -r $folder ]] || return 1
    lines=("${(@f)$(<$folder)}")
    if [[ ${lines[-1]} == "end $(($#lines - 1))" ]]; then lines[-1]=(); else lines=() && return 1; fi
}

# Offer the values of one file that can be typed unquoted.
_roost_offer_file() {
    local tab=$'\t' line name
    local -a lines names texts
    _roost_read "$1" || return 1
    for line in "${(@M)lines:#${(b)2}*}"; do
        name=${line%%$tab*} line=${line#*$tab}
        [[ $name != *[^A-Za-z0-9_.:@+=/-]* && $name == [A-Za-z0-9_]* && $line != *[[:cntrl:]]* ]] || continue
        names+=("$name")
        if [[ $line == "$name" ]]; then texts+=("$name"); else texts+=("$name  $line"); fi
    done
    [[ $#names -gt 0 ]] || return 1
    compadd "${@:3}" -V "$1" -l -d texts -a names
}

# Offer what follows the name of an environment: its labels and versions, which are in the line of the name.
_roost_offer_references() {
    local tab=$'\t' name=${PREFIX%%[:@]*} line
    local -a lines names
    _roost_read environments || return 1
    line=${${(M)lines:#${(b)name}$tab*}[1]-}
    names=(${(M)${(s: :)line#*$tab}:#[:@][A-Za-z0-9_.-]#})
    [[ $#names -gt 0 ]] || return 1
    names=("$name"${^names})
    compadd -V references -a names
}

# Set `kind` to the completion of the argument number $1.
_roost_position() {
    local line number=$1
    for line in "${(@f)positions}"; do
        kind=$line
        case $kind in (\**) kind=${kind#\*} && return ;; esac
        ((number > 0)) || return 0
        number=$((number - 1))
    done
    kind=
}

_roost() {
    emulate -L zsh
    setopt extended_glob
    local path_='' option='' ended='' kind='' base='' word='' line='' tab=$'\t' position=0 found=1
    local commands options positions
    local -a names texts
    _roost_row ''
    for word in "${(@Q)words[2,CURRENT-1]}"; do
        if [[ -n $option ]]; then
            [[ $option != -C ]] || base=${word%/}/
            option=
        elif [[ -z $ended && $word == -- ]]; then
            ended=1
        elif [[ -z $ended && $word == -* ]]; then
            case $'\n'$options in
            (*$'\n'"$word$tab-$tab"*) ;;
            (*$'\n'"$word$tab"*) option=$word ;;
            esac
        elif [[ -n $commands ]]; then
            path_=${path_:+$path_ }$word
            _roost_row "$path_"
        else
            _roost_position $position
            [[ $kind != TRAILING ]] || break
            position=$((position + 1))
        fi
    done
    if [[ -z $option && -z $ended && $kind != TRAILING && $PREFIX == --*=* ]]; then
        option=${PREFIX%%=*}
        compset -P '*='
    fi
    if [[ -n $option ]]; then
        for line in "${(@f)options}"; do
            [[ $line != "$option$tab"* ]] || kind=${${${line#*$tab}%%$tab*}#!}
        done
    elif [[ $kind == TRAILING ]]; then
        :
    elif [[ -z $ended && $PREFIX == -* ]]; then
        for line in "${(@f)options}"; do
            [[ $line != *$tab'!'* ]] || continue
            names+=("${line%%$tab*}")
            texts+=("${line%%$tab*}  -- ${line##*$tab}")
        done
        compadd -l -d texts -a names
        return
    elif [[ -n $commands ]]; then
        for line in "${(@f)commands}"; do
            names+=("${line%%$tab*}")
            texts+=("${line%%$tab*}  -- ${line##*$tab}")
        done
        compadd -l -d texts -a names
        return
    else
        _roost_position $position
    fi
    case $base in
    ('' | /*) ;;
    ('~/'*) base=${HOME-}/${base#'~/'} ;;
    (*) base=$PWD/$base ;;
    esac
    for word in ${(s: :)kind}; do
        case $word in
        (TRAILING) _files && found=0 ;;
        (//) { if [[ -n $base ]]; then _files -W "$base" -/; else _files -/; fi } && found=0 ;;
        (/) { if [[ -n $base ]]; then _files -W "$base"; else _files; fi } && found=0 ;;
        (@versions)
            # A name may go on, with a version or a label.
            if [[ $PREFIX != *[:@]* ]]; then _roost_offer_file environments "$PREFIX" -S '' && found=0; fi
            if [[ $PREFIX == *[:@]* || ( -n $PREFIX && $compstate[nmatches] -eq 1 ) ]]; then
                _roost_offer_references && found=0
            fi
            ;;
        (@*) _roost_offer_file ${word#@} "$PREFIX" && found=0 ;;
        (*) compadd -- $word && found=0 ;;
        esac
    done
    return $found
}

if [[ ${funcstack[1]-} == _roost ]]; then
    _roost "$@"
else
    (($+functions[compdef])) || { autoload -Uz compinit && compinit }
    compdef _roost roost
fi
"""


def format_zsh(rows: Sequence[CommandRow]) -> str:
    """Return the script for the commands in ``rows``."""
    return fill_script(_SCRIPT, "\n".join(map(_format_row, rows)))


def _format_row(row: CommandRow) -> str:
    parts = {"commands": row.command_lines, "options": row.option_lines, "positions": row.position_lines}
    texts = "".join(f"        {name}={quote(text)}\n" for name, text in parts.items() if text)
    return f"    ({quote(row.path)})\n{texts}        ;;"
