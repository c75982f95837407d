"""The command line: one subcommand per stage and per verb. Nothing here is imported by another room."""
