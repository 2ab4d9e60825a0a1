# Completion of nbapps in bash. Load it with: source <(nbapps completions bash)
_clap_complete_nbapps() {
    local words=("${COMP_WORDS[@]:0:COMP_CWORD}" "$2") head= breaks i word line
    if [[ -n ${COMP_LINE-} ]]; then
        # Bash splits words at = : @ too, which nbapps needs whole: what no blank separates is joined again.
        words=()
        line=${COMP_LINE:0:COMP_POINT}
        for ((i = 0; i <= COMP_CWORD; i++)); do
            word=${COMP_WORDS[i]}
            if ((i > 0)) && [[ $line != [[:space:]]* ]]; then
                ((i < COMP_CWORD)) || word=$line
                words[${#words[@]} - 1]+=$word
            else
                line=${line#"${line%%[![:space:]]*}"}
                ((i < COMP_CWORD)) || word=$line
                words+=("$word")
            fi
            line=${line#"$word"}
        done
        # Of the word, bash replaces only what is behind the last place where it splits; an @ is replaced, too.
        breaks=${COMP_WORDBREAKS//[[:space:]\"\']/}
        word=${words[${#words[@]} - 1]}
        [[ -n $breaks && $word == *["$breaks"]* ]] && head=${word%"${word##*["$breaks"]}"}
        head=${head%@}
    fi
    mapfile -t COMPREPLY < <(
        NBAPPS_COMPLETE=bash NBAPPS_COMPLETE_WORD=$((${#words[@]} - 1)) nbapps -- "${words[@]}" 2> /dev/null
    )
    COMPREPLY=("${COMPREPLY[@]#"$head"}")
    if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *[=/] ]]; then
        compopt -o nospace 2> /dev/null
    fi
}
complete -o nosort -F _clap_complete_nbapps nbapps 2> /dev/null || complete -F _clap_complete_nbapps nbapps
