"""The script for fish, from 3.1 on."""

from __future__ import annotations

from collections.abc import Sequence

from roost.client.cli.completion.bash import fill_script
from roost.client.cli.completion.tree import CommandRow

_SCRIPT = r"""
# Printed by `roost completion fish`. It starts no process and no daemon: values are in files that the daemon replaces.

# What may follow a command, an element each: "COMMAND<tab>HELP", "OPTION<tab>COMPLETION<tab>HELP", and a completion for
# each argument. A completion is words: @NAME (values in that file), / (files), // (folders), or a value; - if an option
# has no value; !… if it is not offered.
function __roost_row --no-scope-shadowing
    set commands
    set options
    set positions
    switch "$argv[1]"
ROWS
    end
end

# Print the values of one file that can be typed unquoted. A file that was cut has no last line with their number.
function __roost_values
    set -l folder $ROOST_HOME
    if test -z "$folder"
        if test -d /System/Library
            set folder "$HOME/Library/Application Support/roost"
        else if string match -q '/*' -- "$XDG_DATA_HOME"
            set folder $XDG_DATA_HOME/roost
        else
            set folder $HOME/.local/share/roost
        end
    end
    set folder $folder/completions/FORMAT/$argv[1]
    test -f "$folder" -a -r "$folder"
    or return
    read -z -l text <$folder
    set -l lines (string split -n \n -- $text)
    test "$lines[-1]" = "end "(math (count $lines) - 1)
    or return
    set -e lines[-1]
    string match -r '^[A-Za-z0-9_][A-Za-z0-9_.:@+=/-]*(?:\t[^[:cntrl:]]*)?$' -- $lines
end

# Print the completion of the word at the cursor: words as above, or a word that begins with "=" for each option or
# command. Two rules ask for it.
function __roost_kind
    set -l line (commandline -cp)
    if test "$line" != "$__roost_line"
        set -g __roost_words (__roost_find_kind)
        set -g __roost_line $line
    end
    string join -- \n $__roost_words
end

function __roost_find_kind
    set -l commands
    set -l options
    set -l positions
    set -l path
    set -l option
    set -l ended
    set -l tokens (commandline -opc)
    set -l current (commandline -ct)
    set -l position 1
    set -l base
    set -l tab \t
    __roost_row ''
    for word in $tokens[2..-1]
        if test -n "$option"
            test "x$option" != x-C
            or set base (string replace -r '^~/' $HOME/ -- (string trim -r -c / -- $word)/)
            set option
        else if test -z "$ended"; and test "x$word" = x--
            set ended 1
        else if test -z "$ended"; and string match -q -- '-*' $word
            set -l row (string match -- "$word$tab*" $options)
            if test -n "$row"; and not string match -q -- "*$tab-$tab*" $row
                set option $word
            end
        else if test -n "$commands"
            set path $path $word
            __roost_row "$path"
        else
            set -l kind (__roost_position $position $positions)
            if test "$kind" = TRAILING
                echo /
                return
            end
            set position (math $position + 1)
        end
    end
    if test -z "$option" -a -z "$ended"; and string match -q -- '--*=*' $current
        set option (string split -m 1 = -- $current)[1]
    end
    set -l kind
    if test -n "$option"
        set kind (string split $tab -- (string match -- "$option$tab*" $options))[2]
        set kind (string trim -l -c ! -- $kind)
    else if test -z "$ended"; and string match -q -- '-*' $current
        for row in $options
            set -l cells (string split $tab -- $row)
            string match -q '!*' -- $cells[2]
            or printf '=%s\t%s\n' $cells[1] $cells[3]
        end
        return
    else if test -n "$commands"
        printf '=%s\n' $commands
        return
    else
        set kind (__roost_position $position $positions)
        test "$kind" != TRAILING
        or set kind /
    end
    if test -n "$base"
        set kind (string replace -r -a '(^| )(//?)(?= |$)' '$1$2:'(string escape --style=url -- $base) -- $kind)
    end
    string split -n ' ' -- $kind
end

function __roost_position
    set -l number $argv[1]
    set -e argv[1]
    for kind in $argv
        if string match -q '\**' -- $kind
            string sub -s 2 -- $kind
            return
        end
        if test $number -eq 1
            echo $kind
            return
        end
        set number (math $number - 1)
    end
end

function __roost_wants_files
    string match -q -- / (__roost_kind)
end

# Print what may stand at the cursor.
function __roost_complete
    set -l tab \t
    set -l current (commandline -ct)
    set -l lead
    if string match -q -- '--*=*' $current
        set lead (string split -m 1 = -- $current)[1]=
        set current (string split -m 1 = -- $current)[2]
    end
    for word in (__roost_kind)
        switch $word
            case '=*'
                string sub -s 2 -- $word
            case /
            case '//'
                __fish_complete_directories "$current" ''
            case '//:*' '/:*'
                set -l base (string unescape --style=url -- (string replace -r '^//?:' '' -- $word))
                for found in $base$current*
                    if test -d "$found"
                        printf '%s/\n' (string sub -s (math (string length -- $base) + 1) -- $found)
                    else if not string match -q '//:*' -- $word
                        string sub -s (math (string length -- $base) + 1) -- $found
                    end
                end
            case @versions
                set -l lines (__roost_values environments)
                set -l name (string split -m 1 : -- (string replace @ : -- $current))
                set -l marks (string split $tab -- (string match -- "$name[1]$tab*" $lines))[2]
                test -z "$marks"
                or printf "$lead%s\n" $name[1](string match -r '^[:@][A-Za-z0-9_.-]+$' -- (string split ' ' -- $marks))
                set -q name[2]
                or printf "$lead%s\n" $lines
            case '@*'
                set -l values (__roost_values (string sub -s 2 -- $word))
                test -z "$values"
                or printf "$lead%s\n" $values
            case '*'
                printf "$lead%s\n" $word
        end
    end
end

complete -c roost -e
complete -c roost -f -k -a '(__roost_complete)'
complete -c roost -n __roost_wants_files -F
"""


def format_fish(rows: Sequence[CommandRow]) -> str:
    """Return the script for the commands in ``rows``."""
    return fill_script(_SCRIPT, "\n".join(map(_format_row, rows)))


def _format_row(row: CommandRow) -> str:
    parts = {
        "commands": ["\t".join(cells) for cells in row.commands],
        "options": ["\t".join(cells) for cells in row.options],
        "positions": list(row.positions),
    }
    lines = [
        f"            set {name} {' '.join(map(_quote, elements))}\n" for name, elements in parts.items() if elements
    ]
    return f"        case {_quote(row.path)}\n{''.join(lines)}".rstrip("\n")


def _quote(text: str) -> str:
    r"""Quote for fish, where ``\\`` and ``\'`` mean themselves in single quotes too."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
