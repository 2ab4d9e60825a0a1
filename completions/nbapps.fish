# Completion of nbapps in fish. Load it with: nbapps completions fish | source
function __nbapps_complete
    set --local words (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token --cut-at-cursor)
    NBAPPS_COMPLETE=fish nbapps -- $words 2>/dev/null
end
complete --keep-order --exclusive --command nbapps --arguments '(__nbapps_complete)'
