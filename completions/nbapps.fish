complete --keep-order --exclusive --command nbapps --arguments "(NBAPPS_COMPLETE=fish nbapps -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
